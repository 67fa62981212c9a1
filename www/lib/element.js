// <token-former>: a text, and a button that makes a model continue it. Nothing is downloaded before a method is
// called, the button is pressed, or `autoload` is set.

import { ATTRIBUTES, LOADING_ATTRIBUTES, readGenerateAttributes, readLoadAttributes } from "./attributes.js";
import { ElementView } from "./element-view.js";
import { aborted, toTokenFormerError } from "./errors.js";
import { checkText, checkTextOrIds } from "./inputs.js";
import { isUsable } from "./model.js";
import { isLocalFolder } from "./names.js";
import { checkGenerateOptions } from "./options.js";
import { acquire } from "./shared-models.js";
import { placeInWords, readyInWords, resultInWords, TokenMeter, writingInWords } from "./status.js";

/** Alternatives of each token that the token view shows. */
const ALTERNATIVES = 5;
/** What pages can style by: token-former:state(writing). */
const STATES = ["loading", "writing"];

/** Node has no elements; importing the module there must still work. */
const Base = globalThis.HTMLElement ?? class {};

export class TokenFormerElement extends Base {
  static observedAttributes = ATTRIBUTES;

  #view;
  #model = null;
  /** Gives up our share of `#model`, which other elements may use as well. */
  #release = null;
  /** The AbortController of the text that `#model` writes for this element. */
  #active = null;
  /** The loading in flight, or the one that made `#model`: { key, controller, promise }. */
  #loading = null;
  /** The AbortController of the text that the view shows while it is written. */
  #writing = null;
  /** Settles when the model before this one has given its memory back. */
  #freed = Promise.resolve();
  /** Errors that were shown and told already: a failed loading fails every call that waits for it. */
  #reported = new WeakSet();

  /** Tells the page's styles what goes on; null where the browser has no states of elements. */
  #states = null;

  constructor() {
    super();
    this.#states = this.attachInternals?.().states ?? null;
    // What these calls reject with is shown, and told by the error event.
    this.#view = new ElementView(this.attachShadow({ mode: "open", delegatesFocus: true }), {
      onGenerate: () => this.generate().catch(() => {}),
      onStop: () => this.stop(),
      onRegenerate: () => this.regenerate().catch(() => {}),
      onChoose: (index, alternative) => this.#writeOnWith(index, alternative).catch(() => {}),
      // Typing is told by the field's own event, which comes out of the shadow tree.
      onChange: ({ typed }) => typed || this.dispatchEvent(new Event("input", { bubbles: true, composed: true })),
      onState: (state) => this.#showState(state),
    });
  }

  /** The loaded TokenFormer, or null. */
  get model() {
    return this.#model;
  }

  /** As the attribute, since frameworks assign properties where an element has them; null removes it. */
  set model(name) {
    if (name === null || name === undefined) this.removeAttribute("model");
    else this.setAttribute("model", checkText("model", name));
  }

  /** "idle", "loading" or "writing". */
  get state() {
    return this.#view.state;
  }

  /** The whole text: the visitor's and the model's. */
  get text() {
    return this.#view.text;
  }

  set text(text) {
    const checked = checkText("text", text);
    this.#endWriting();
    this.#view.setText(checked);
  }

  /** The text as stretches `{ text, written }`, `written` being the model's; to be kept and set again, as a beginning that is not undone. */
  get passages() {
    return this.#view.manuscript.stretches;
  }

  set passages(passages) {
    const checked = Array.from(passages, ({ text, written }) => ({
      text: checkText("passages", text),
      written: Boolean(written),
    }));
    this.#endWriting();
    this.#view.begin(checked);
  }

  connectedCallback() {
    this.#takeEarlyProperties();
    if (this.hasAttribute("autoload")) this.load().catch(() => {});
  }

  disconnectedCallback() {
    // A move within the document connects again before this microtask runs.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#unload();
      this.#view.showIdle("");
    });
  }

  attributeChangedCallback(name, before, now) {
    if (before === now) return;
    if (name === "prompt") {
      this.#endWriting();
      this.#view.begin([{ text: now ?? "", written: false }]);
    }
    if (name === "token-view") this.#view.showsTokens = now !== null;
    if (name === "autoload" && now !== null && this.isConnected) this.load().catch(() => {});
  }

  /** Loads the model that the attributes name, unless it is the loaded one; resolves to it. */
  load() {
    const key = JSON.stringify(LOADING_ATTRIBUTES.map((name) => this.getAttribute(name)));
    // A model that was disposed, or whose engine stopped, is loaded anew; so is one whose loading was stopped.
    const isDead = this.#model ? !isUsable(this.#model) : this.#loading?.controller.signal.aborted;
    if (this.#loading?.key === key && !isDead) return this.#loading.promise;
    this.#unload();
    const loading = { key, controller: new AbortController(), promise: null };
    this.#loading = loading;
    loading.promise = this.#load(loading);
    return loading.promise;
  }

  /**
   * Writes on from `prompt`, which then is the whole text, or from the text as it stands; resolves to the result.
   * A text that is being written ends.
   */
  generate(prompt) {
    if (typeof prompt === "string") {
      this.#endWriting();
      this.#view.setText(prompt);
    }
    if (typeof (prompt ?? "") === "string") return this.#run(() => ({ prompt: this.#view.text }));
    // The text of ids is not known here: what is written of them stands alone.
    return this.#run(() => ({ prompt, from: 0 }));
  }

  /**
   * Writes the last passage of the model's anew; without one, as `generate`. What the visitor wrote behind it continued that
   * passage and goes with it; `undo` brings both back.
   */
  regenerate() {
    const { manuscript } = this.#view;
    return this.#run(() => {
      const from = manuscript.lastPassage;
      return from < 0 ? { prompt: manuscript.text } : { prompt: manuscript.textBefore(from), from };
    });
  }

  /** Takes back the last change, typed or written; false where there is none. */
  undo() {
    return this.#view.undo();
  }

  /** Makes the change again that `undo` took back; false where there is none. */
  redo() {
    return this.#view.redo();
  }

  /** Writes on with another token in the place of one that was written. */
  #writeOnWith(from, first) {
    const { manuscript } = this.#view;
    return this.#run(() => ({ prompt: manuscript.textBefore(from) + first.text, from, first }));
  }

  /** What was assigned before the element was defined stands in front of its accessors: it is assigned again. */
  #takeEarlyProperties() {
    for (const [name, { set }] of Object.entries(Object.getOwnPropertyDescriptors(TokenFormerElement.prototype))) {
      if (!set || !Object.hasOwn(this, name)) continue;
      const value = this[name];
      delete this[name];
      this[name] = value;
    }
  }

  /** Ends a text that is about to lose its place. One that waits for its model has none yet: it will continue what is there then. */
  #endWriting() {
    if (!this.#view.isWriting) return;
    this.#writing?.abort();
    this.#writing = null;
    this.#view.showIdle("");
  }

  /**
   * `plan` tells what to write on from: `{ prompt, from?, first? }`. It is asked twice: for mistakes, which are told
   * before anything is downloaded for their sake, and again once the model is there, since visitors write while they wait.
   */
  async #run(plan) {
    this.#writing?.abort();
    const writing = new AbortController();
    this.#writing = writing;
    try {
      checkTextOrIds("prompt", plan().prompt);
      checkGenerateOptions(this.#readOptions());
      const model = await this.load();
      const { prompt, ...place } = plan();
      const options = { ...this.#readOptions(), signal: writing.signal };
      return await this.#write(model, checkTextOrIds("prompt", prompt), options, { writing, ...place });
    } catch (thrown) {
      throw this.#report(thrown, this.#writing === writing);
    } finally {
      if (this.#writing === writing) this.#writing = null;
    }
  }

  /** The token view needs alternatives, unless the page says how many. */
  #readOptions() {
    const options = readGenerateAttributes((name) => this.getAttribute(name));
    if (this.hasAttribute("token-view")) options.logprobs ||= ALTERNATIVES;
    return options;
  }

  /** Ends the text that is being written, or the loading before it. */
  stop() {
    this.#writing?.abort();
    if (!this.#model) this.#loading?.controller.abort();
  }

  /** Ends the text, empties the page, puts the attribute's prompt back and makes the model forget. */
  async reset() {
    this.#writing?.abort();
    this.#endWriting();
    this.#view.setText(this.getAttribute("prompt") ?? "");
    await this.#model?.reset();
  }

  async #load(loading) {
    const { signal } = loading.controller;
    const isCurrent = () => this.#loading === loading;
    try {
      const name = this.getAttribute("model") ?? undefined;
      const options = readLoadAttributes((attribute) => this.getAttribute(attribute));
      this.#view.showLoading();
      await this.#freed;
      const onProgress = (progress) => {
        if (!isCurrent()) return;
        this.#view.showProgress(progress, isLocalFolder(name));
        this.#tell("progress", progress);
      };
      const { model, release } = await acquire(name, options, { signal, onProgress });
      if (!isCurrent()) {
        await release();
        throw aborted("Loading");
      }
      this.#model = model;
      this.#release = release;
      this.#view.showIdle(readyInWords(model.info));
      this.#tell("load", model);
      return model;
    } catch (thrown) {
      const visible = isCurrent();
      if (visible) this.#loading = null;
      throw this.#report(thrown, visible);
    }
  }

  /** `from`: how many pieces of the text stay; `first`: a token that was chosen to begin with. */
  async #write(model, input, options, { writing, from, first }) {
    const isCurrent = () => this.#writing === writing;
    const meter = new TokenMeter();
    this.#active = writing;
    const place = placeInWords(model.info);
    const inWords = () => writingInWords(meter.count, meter.tokensPerSecond, meter.firstAfterMs, place);
    if (isCurrent()) this.#view.showWriting(from);
    if (isCurrent() && first) this.#view.append(first, inWords);
    const chunks = model.generate(input, options);
    for (;;) {
      const { done, value } = await chunks.next();
      if (done) {
        if (isCurrent()) this.#view.showIdle(resultInWords(value, place));
        this.#tell("done", value);
        return value;
      }
      meter.add();
      if (isCurrent()) this.#view.append(value, inWords);
      this.#tell("token", value);
    }
  }

  /**
   * Gives up the model, whose memory is freed if no other element has it. What it writes for this one ends; `#writing` is
   * left alone, since it may be the call that is about to load another model.
   */
  #unload() {
    this.#loading?.controller.abort();
    this.#loading = null;
    this.#active?.abort();
    this.#active = null;
    this.#model = null;
    if (this.#release) this.#freed = this.#release().catch(() => {}); // a failure to free helps nobody here
    this.#release = null;
  }

  #report(thrown, visible) {
    const error = toTokenFormerError(thrown);
    if (this.#reported.has(error)) return error;
    this.#reported.add(error);
    if (visible && error.code === "aborted") this.#view.showIdle("Stopped");
    else if (visible) this.#view.showError(error);
    this.#tell("error", error);
    return error;
  }

  #showState(state) {
    try {
      for (const other of STATES) {
        if (other === state) this.#states?.add(other);
        else this.#states?.delete(other);
      }
    } catch {
      this.#states = null; // a browser of before 2024, which wants other names
    }
  }

  /** Not bubbling: `load`, `progress` and `error` are names of the page's own events. */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
