// <token-former>: a text, and a button that makes a model continue it. Nothing is downloaded before a method is
// called, the button is pressed, or `autoload` is set.

import { ATTRIBUTES, LOADING_ATTRIBUTES, readGenerateAttributes, readLoadAttributes } from "./attributes.js";
import { defineProperties, setAttribute, takeEarlyProperties, functionOrNull } from "./properties.js";
import { States } from "./states.js";
import { ALTERNATIVES, TokenScores } from "./token-scores.js";
import { ElementView } from "./view.js";
import { composedPlan, standingFirst } from "./composing.js";
import { aborted, toTokenFormerError } from "../errors.js";
import { setAssets } from "../locations.js";
import { checkText, checkTextOrIds, loneSurrogateAt, wellFormed } from "../api/inputs.js";
import { isUsable } from "../api/model.js";
import { isLocalFolder } from "../api/names.js";
import { checkGenerateOptions } from "../api/options.js";
import { acquire } from "../api/shared-models.js";
import { writeSeveral } from "./several.js";
import { asInField } from "./texts.js";
import { placeInWords, readyInWords, resultInWords, TokenMeter, writingInWords } from "./status.js";

/** @typedef {import("../api/model.js").TokenFormer} TokenFormer */
/** @typedef {import("../../tokenformer.js").TokenIds} TokenIds */
/** @typedef {import("../../tokenformer.js").Chunk} Chunk */
/** @typedef {import("../../tokenformer.js").Passage} Passage */
/** @typedef {import("../../tokenformer.js").GenerateOptions} GenerateOptions */
/** @typedef {import("../../tokenformer.js").Compose} Compose */
/** @typedef {import("../../tokenformer.js").WordLink} WordLink */
/** @typedef {import("./view.js").Token} Token */
/** What is to be written on from: how many pieces of the text stay, and a token that was chosen to begin with. @typedef {{ prompt: unknown, options?: GenerateOptions, from?: number, first?: Token }} Plan */
/** @typedef {Omit<Plan, "prompt" | "options"> & { writing: AbortController }} Place */
/** @typedef {import("./manuscript.js").Part} Part */
/** `key`: what the attributes said. @typedef {{ key: string, controller: AbortController, promise: Promise<TokenFormer>, isGivenUp?: boolean }} Loading */

/** Node has no elements; importing the module there must still work. */
const Base = globalThis.HTMLElement ?? class {};

export class TokenFormerElement extends Base {
  static observedAttributes = ATTRIBUTES;

  /** @type {ElementView} */
  #view;
  /** What is asked of the model for the token view. @type {TokenScores} */
  #scores;
  /** @type {TokenFormer | null} */
  #model = null;
  /** Gives up our share of `#model`, which other elements may use as well. @type {(() => Promise<void>) | null} */
  #release = null;
  /** Of the text that `#model` writes for this element. @type {AbortController | null} */
  #active = null;
  /** The loading in flight, or the one that made `#model`. @type {Loading | null} */
  #loading = null;
  /** Of the text that the view shows while it is written. @type {AbortController | null} */
  #writing = null;
  /** The text that the writing began with, if `input` told it: who binds the text assigns it once more, a moment later. @type {string | null} */
  #echo = null;
  /** Settles when the model before this one has given its memory back. */
  #freed = Promise.resolve();
  /** Errors that were shown and told already: a failed loading fails every call that waits for it. */
  #reported = new WeakSet();

  /** @type {Compose | null} */
  #compose = null;
  /** @type {WordLink | null} */
  #wordLink = null;

  constructor() {
    super();
    const states = new States(this.attachInternals?.().states);
    // What these calls reject with is shown, and told by the error event.
    this.#view = new ElementView(this.attachShadow({ mode: "open" }), {
      onGenerate: () => this.#isAllowed("generate") && this.generate().catch(() => {}),
      onStop: () => this.stop(),
      onRegenerate: () => this.#isAllowed("regenerate") && this.regenerate().catch(() => {}),
      onChoose: (item, alternative) => this.#writeOnWith(item, alternative).catch(() => {}),
      onLook: (index) => this.#scores.look(index),
      linkTo: (at) => this.#wordLink?.({ text: this.text, at }) ?? null,
      onTokens: () => this.#scores?.refresh(),
      // Typing is told by the field's own event, which comes out of the shadow tree.
      onChange: ({ typed, before: detail }) =>
        typed || this.dispatchEvent(new CustomEvent("input", { bubbles: true, composed: true, detail })),
      onState: (state) => {
        states.show(state);
        this.#scores.refresh();
      },
    });
    this.#scores = new TokenScores({
      view: this.#view.tokens,
      pieces: () => this.#view.manuscript.pieces,
      before: (model) => standingFirst(this.text, this.#compose, model),
      // Whoever waits for a text waits for nothing else.
      model: () => (this.#view.showsTokens && !this.#writing && this.#view.state === "idle" ? this.#model : null),
    });
  }

  /** The loaded TokenFormer, or null. @returns {TokenFormer | null} */
  get model() {
    return this.#model;
  }

  /** As the attribute, since frameworks assign properties where an element has them; null removes it. @param {string | null} name */
  set model(name) {
    setAttribute(this, "model", name);
  }

  /** Ends the text that is being written, or the loading before it. @returns {() => void} */
  get stop() {
    return this.#stop;
  }

  /** As the attribute, as above: a text of JSON, or the array itself. @param {readonly string[] | string | null} texts */
  set stop(texts) {
    setAttribute(this, "stop", texts);
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
    const checked = asInField(checkText("text", text ?? "")); // as that of a text field
    // A framework that binds the text assigns what it was told: that is no change, and ends nothing.
    if (checked === this.text || (this.#view.isWriting && checked === this.#echo)) return;
    this.#endWriting();
    this.#view.setText(checked);
  }

  /** The text as stretches `{ text, written }`, `written` being the model's; to be kept and set again, as a beginning that is not undone. @returns {Passage[]} */
  get passages() {
    return this.#view.manuscript.stretches;
  }

  /** Makes of a text what the model reads in its place; null: the text itself. @returns {Compose | null} */
  get compose() {
    return this.#compose;
  }

  /** @param {Compose | null} compose */
  set compose(compose) {
    this.#compose = functionOrNull("compose", compose, "(text, model) => prompt");
  }

  /** Gives the cards of the token view a link; null: none. @returns {WordLink | null} */
  get wordLink() {
    return this.#wordLink;
  }

  /** @param {WordLink | null} link */
  set wordLink(link) {
    this.#wordLink = functionOrNull("wordLink", link, "({ text, at }) => ({ href, label })");
  }

  /** Where in the text the model's memory begins, which a faint line shows; null: nowhere. It goes with the text around it. @returns {number | null} */
  get seenFrom() {
    return this.#view.manuscript.mark;
  }

  /** @param {number | null} place */
  set seenFrom(place) {
    this.#view.mark(place ?? null);
  }

  /** @param {Iterable<Passage> | null} passages */
  set passages(passages) {
    const checked = Array.from(passages ?? [], ({ text, written }) => ({
      text: checkText("passages", text),
      written: Boolean(written),
    }));
    if (this.#view.manuscript.consistsOf(checked)) return;
    this.#endWriting();
    this.#view.begin(checked);
  }

  /** Puts the keyboard where the text is. @param {FocusOptions} [options] */
  focus(options) {
    this.#view.focus(options);
  }

  connectedCallback() {
    takeEarlyProperties(this, TokenFormerElement.prototype);
    if (this.hasAttribute("autoload")) this.load().catch(() => {});
  }

  /** Moved into another document, which has none of the styles of this one. */
  adoptedCallback() {
    this.#view.adopt();
  }

  disconnectedCallback() {
    // A move within the document connects again before this microtask runs.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#unload();
      this.#view.showIdle("");
    });
  }

  /** @param {string} name @param {string | null} before @param {string | null} now */
  attributeChangedCallback(name, before, now) {
    if (before === now) return;
    if (name === "prompt") {
      this.#endWriting();
      this.#view.begin([{ text: wellFormed(now ?? ""), written: false }]);
    }
    if (name === "token-view") this.#view.showsTokens = now !== null;
    if (name === "autoload" && now !== null && this.isConnected) this.load().catch(() => {});
  }

  /** Loads the model that the attributes name, unless it is the loaded one; resolves to it. @returns {Promise<TokenFormer>} */
  load() {
    const key = JSON.stringify(LOADING_ATTRIBUTES.map((name) => this.getAttribute(name)));
    // A model that was disposed, or whose engine stopped, is loaded anew; so is one whose loading was stopped.
    const isDead = this.#model ? !isUsable(this.#model) : this.#loading?.controller.signal.aborted;
    if (this.#loading?.key === key && !isDead) return this.#loading.promise;
    this.#unload();
    const loading = /** @type {Loading} */ ({ key, controller: new AbortController() });
    this.#loading = loading;
    loading.promise = this.#load(loading);
    return loading.promise;
  }

  /**
   * Writes on from `prompt`, which then is the whole text, or from the text as it stands; resolves to the result.
   * A text that is being written ends.
   * @param {string | TokenIds | null} [prompt]
   */
  generate(prompt) {
    if ((prompt ?? null) === null) return this.#run(() => ({ prompt: this.#ownText() }));
    // The text of ids is not known here: what is written of them stands alone.
    if (typeof prompt !== "string" || loneSurrogateAt(prompt) >= 0) return this.#run(() => ({ prompt, from: 0 }));
    this.#endWriting();
    if (asInField(prompt) !== this.text) this.#view.setText(prompt);
    return this.#run(() => ({ prompt: this.#ownText() }));
  }

  /**
   * Writes the last passage of the model's anew; without one, as `generate`. What the visitor wrote behind it continued that
   * passage and goes with it; `undo` brings both back.
   */
  regenerate() {
    const { manuscript } = this.#view;
    return this.#run(() => {
      const text = this.#ownText();
      const from = manuscript.lastPassage;
      return from < 0 ? { prompt: text } : { prompt: manuscript.textBefore(from), from };
    });
  }

  /**
   * Writes `n` ways to go on from `prompt`, or from the text, side by side; resolves to their results. None comes into the
   * text: the event `alternative` tells of every token, and `splice` puts there what is chosen.
   * @param {{ prompt?: string } & import("../../tokenformer.js").AlternativesOptions} options
   */
  alternatives({ prompt, ...several }) {
    return this.#run(
      () => ({ prompt: prompt ?? this.#ownText() }),
      (model, input, options, { writing }) => {
        this.#active = writing;
        const isCurrent = () => this.#writing === writing;
        const onChunk = (/** @type {Chunk} */ chunk) => this.#tell("alternative", chunk);
        return writeSeveral(model, input, { ...options, ...several }, { view: this.#view, isCurrent, onChunk });
      },
    );
  }

  /**
   * Puts passages, or tokens of the model's, in the place of what stands from `start` to `end`; `undo` takes it back.
   * @param {number} start
   * @param {number} end
   * @param {Iterable<Part>} parts
   */
  splice(start, end, parts) {
    this.#endWriting();
    // What was written behind a space goes on with a token that begins with it.
    const isHealed = this.text.slice(0, start).endsWith(" ") && !this.hasAttribute("no-heal");
    const checked = Array.from(parts, ({ text, written, ...token }, i) => ({
      ...token,
      text: checkText("parts", text),
      written: Boolean(written),
      ...(i === 0 && isHealed && { isHealed }),
    }));
    this.#view.splice(start, end, checked);
  }

  /** Where the caret stands in the text, or what is selected begins. */
  get selectionStart() {
    return this.#view.surface.selectionStart;
  }

  set selectionStart(place) {
    this.#view.surface.selectionStart = place;
  }

  /** Where a place of the text is seen in the window; null in the token view, and where nothing is laid out. @param {number} place */
  rectAt(place) {
    return this.hasAttribute("token-view") ? null : this.#view.surface.rectAt(place);
  }

  /** Whether nobody has another idea of what the button does. @param {"generate" | "regenerate"} call @returns {boolean} */
  #isAllowed(call) {
    const { manuscript } = this.#view;
    const from = call === "regenerate" ? manuscript.lastPassage : -1;
    const start = from < 0 ? this.text.length : manuscript.textBefore(from).length;
    return this.dispatchEvent(new CustomEvent("beforegenerate", { cancelable: true, detail: { call, start } }));
  }

  /** The text as a model can read it. */
  #ownText() {
    this.#view.mend();
    return this.#view.text;
  }

  /** Takes back the last change, typed or written; false where there is none. */
  undo() {
    return this.#view.undo();
  }

  /** Makes the change again that `undo` took back; false where there is none. */
  redo() {
    return this.#view.redo();
  }

  /** Writes on with another token in the place of one of the text. @param {import("./text-tokens.js").Item} item @param {Token} alternative */
  #writeOnWith({ piece, offset }, { text, ...token }) {
    const { manuscript } = this.#view;
    const from = manuscript.cutAt(piece, offset);
    const isHealed = manuscript.pieces[from]?.token?.isHealed === true;
    const first = { ...token, isHealed, text: isHealed ? text.replace(/^ /, "") : text };
    return this.#run(() => ({ prompt: manuscript.textBefore(from) + first.text, from, first }));
  }

  /** Ends a text that is about to lose its place. One that waits for its model has none yet: it will continue what is there then. */
  #endWriting() {
    if (!this.#view.isWriting) return;
    this.#writing?.abort();
    this.#writing = null;
    this.#view.showIdle("");
  }

  /**
   * `plan` is asked twice: for mistakes, which are told before anything is downloaded for their sake, and again once the
   * model is there, since visitors write while they wait.
   * @template [R=import("../../tokenformer.js").GenerateResult]
   * @param {() => Plan} plan
   * @param {(model: TokenFormer, input: string | Uint32Array, options: GenerateOptions, place: Place) => Promise<R>} [write]
   * @returns {Promise<R>}
   */
  async #run(plan, write = (...asked) => /** @type {Promise<any>} */ (this.#write(...asked))) {
    this.#writing?.abort();
    const writing = new AbortController();
    this.#writing = writing;
    this.#scores.refresh();
    try {
      checkTextOrIds("prompt", plan().prompt);
      checkGenerateOptions(this.#readOptions());
      const model = await this.load();
      const {
        prompt,
        options: more,
        ...place
      } = this.#compose ? await composedPlan(plan, this.#compose, model) : plan();
      const options = { ...this.#readOptions(), ...more, signal: writing.signal };
      return await write(model, checkTextOrIds("prompt", prompt), options, { writing, ...place });
    } catch (thrown) {
      throw this.#report(thrown, this.#writing === writing);
    } finally {
      if (this.#writing === writing) this.#writing = null;
      this.#scores.refresh();
    }
  }

  /** The token view needs alternatives, unless the page says how many. */
  #readOptions() {
    /** @type {GenerateOptions} */
    const options = readGenerateAttributes((name) => this.getAttribute(name));
    if (this.hasAttribute("token-view")) options.logprobs ||= ALTERNATIVES;
    return options;
  }

  /** What `stop()` does. */
  #stop = () => {
    this.#writing?.abort();
    if (!this.#model) this.#loading?.controller.abort();
  };

  /** Ends the text, empties the page, puts the attribute's prompt back and makes the model forget. */
  async reset() {
    this.#writing?.abort();
    this.#endWriting();
    this.#view.setText(this.getAttribute("prompt") ?? "");
    await this.#model?.reset();
  }

  /** @param {Loading} loading */
  async #load(loading) {
    const { signal } = loading.controller;
    const isCurrent = () => this.#loading === loading;
    try {
      const name = this.getAttribute("model") ?? undefined;
      const options = readLoadAttributes((attribute) => this.getAttribute(attribute));
      const assets = this.getAttribute("assets");
      if (assets !== null) setAssets(assets); // the engine is one for the page, and so is the place of its files
      this.#view.showLoading();
      await this.#freed;
      const onProgress = (/** @type {import("../../tokenformer.js").LoadProgress} */ progress) => {
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
      const error = toTokenFormerError(thrown);
      // Nobody who shows errors should show that an element was removed, or was given another model.
      if (loading.isGivenUp && error.code === "aborted") this.#reported.add(error);
      throw this.#report(error, visible);
    }
  }

  /**
   * @param {TokenFormer} model
   * @param {string | Uint32Array} input
   * @param {GenerateOptions} options
   * @param {Place} place
   */
  async #write(model, input, options, { writing, from, first }) {
    const isCurrent = () => this.#writing === writing;
    const meter = new TokenMeter();
    this.#active = writing;
    const place = placeInWords(model.info);
    const inWords = () => writingInWords(meter.count, meter.tokensPerSecond, meter.firstAfterMs, place);
    if (isCurrent()) this.#echo = this.#view.showWriting(from) ? this.text : null;
    if (isCurrent() && first) this.#view.append(first, inWords);
    // The space that such a token begins with is the prompt's last one.
    let isHealed = typeof input === "string" && input.endsWith(" ") && options.heal !== false;
    const chunks = model.generate(input, options);
    for (;;) {
      const { done, value } = await chunks.next();
      if (done) {
        if (isCurrent()) this.#view.showIdle(resultInWords(value, place));
        this.#tell("done", value);
        return value;
      }
      meter.add();
      if (isCurrent()) this.#view.append({ ...value, isHealed }, inWords);
      isHealed = false;
      this.#tell("token", value);
    }
  }

  /**
   * Gives up the model, whose memory is freed if no other element has it. What it writes for this one ends; `#writing` is
   * left alone, since it may be the call that is about to load another model.
   */
  #unload() {
    if (this.#loading && !this.#loading.controller.signal.aborted) this.#loading.isGivenUp = true;
    this.#loading?.controller.abort();
    this.#loading = null;
    this.#active?.abort();
    this.#active = null;
    this.#model = null;
    if (this.#release) this.#freed = this.#release().catch(() => {}); // a failure to free helps nobody here
    this.#release = null;
  }

  /** @param {unknown} thrown @param {boolean} visible whether the element shows it */
  #report(thrown, visible) {
    const error = toTokenFormerError(thrown);
    if (this.#reported.has(error)) return error;
    this.#reported.add(error);
    if (visible && error.code === "aborted") this.#view.showIdle("Stopped");
    else if (visible) this.#view.showError(error);
    this.#tell("error", error);
    return error;
  }

  /** Not bubbling: `load`, `progress` and `error` are names of the page's own events. @param {keyof import("../../tokenformer.js").TokenFormerEventMap} type @param {unknown} detail */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

defineProperties(TokenFormerElement.prototype);
