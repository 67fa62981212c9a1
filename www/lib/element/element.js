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
/** What to continue: how many pieces of the text are kept, and a token that was chosen to start with. @typedef {{ prompt: unknown, options?: GenerateOptions, from?: number, first?: Token }} Plan */
/** @typedef {Omit<Plan, "prompt" | "options"> & { writing: AbortController }} Place */
/** @typedef {import("./manuscript.js").Part} Part */
/** `key`: what the attributes said. @typedef {{ key: string, controller: AbortController, promise: Promise<TokenFormer>, isGivenUp?: boolean }} Loading */

/** Node has no elements; importing the module there must still work. */
const Base = globalThis.HTMLElement ?? class {};

export class TokenFormerElement extends Base {
  static observedAttributes = ATTRIBUTES;

  /** @type {ElementView} */
  #view;
  /** Queries to the model for the token view. @type {TokenScores} */
  #scores;
  /** @type {TokenFormer | null} */
  #model = null;
  /** Releases our share of `#model`, which other elements may also use. @type {(() => Promise<void>) | null} */
  #release = null;
  /** For the text that `#model` is writing for this element. @type {AbortController | null} */
  #active = null;
  /** The loading in flight, or the one that made `#model`. @type {Loading | null} */
  #loading = null;
  /** For the text that the view shows while it is written. @type {AbortController | null} */
  #writing = null;
  /** The text that generation started from, if an `input` event reported it: a page that binds the text assigns it again a moment later. @type {string | null} */
  #echo = null;
  /** Settles when the previous model's memory is freed. */
  #freed = Promise.resolve();
  /** Errors that were already shown and reported: a failed load fails every call that waits for it. */
  #reported = new WeakSet();

  /** @type {Compose | null} */
  #compose = null;
  /** @type {WordLink | null} */
  #wordLink = null;

  constructor() {
    super();
    const states = new States(this.attachInternals?.().states);
    // Rejections of these calls are shown, and reported by the error event.
    this.#view = new ElementView(this.attachShadow({ mode: "open" }), {
      onGenerate: () => this.#isAllowed("generate") && this.generate().catch(() => {}),
      onStop: () => this.stop(),
      onRegenerate: () => this.#isAllowed("regenerate") && this.regenerate().catch(() => {}),
      onChoose: (item, alternative) => this.#writeOnWith(item, alternative).catch(() => {}),
      onLook: (index) => this.#scores.look(index),
      linkTo: (at) => this.#wordLink?.({ text: this.text, at }) ?? null,
      onTokens: () => this.#scores?.refresh(),
      // Typing is reported by the field's own event, which leaves the shadow tree.
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
      // A visitor who waits for a text waits for nothing else.
      model: () => (this.#view.showsTokens && !this.#writing && this.#view.state === "idle" ? this.#model : null),
    });
  }

  /** The loaded TokenFormer, or null. @returns {TokenFormer | null} */
  get model() {
    return this.#model;
  }

  /** Reflects the attribute, since frameworks assign properties if an element has them; null removes it. @param {string | null} name */
  set model(name) {
    setAttribute(this, "model", name);
  }

  /** Stops the text in progress, or the load before it. @returns {() => void} */
  get stop() {
    return this.#stop;
  }

  /** Reflects the attribute, as with `model`: JSON text, or the array itself. @param {readonly string[] | string | null} texts */
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
    // A framework that binds the text assigns the value it was given: that is not a change, and stops nothing.
    if (checked === this.text || (this.#view.isWriting && checked === this.#echo)) return;
    this.#endWriting();
    this.#view.setText(checked);
  }

  /** The text as stretches `{ text, written }`, `written` being the model's; can be saved and set again, as an initial text that undo does not remove. @returns {Passage[]} */
  get passages() {
    return this.#view.manuscript.stretches;
  }

  /** A function that turns a text into what the model reads instead; null: the text itself. @returns {Compose | null} */
  get compose() {
    return this.#compose;
  }

  /** @param {Compose | null} compose */
  set compose(compose) {
    this.#compose = functionOrNull("compose", compose, "(text, model) => prompt");
  }

  /** A function that gives the cards of the token view a link; null: none. @returns {WordLink | null} */
  get wordLink() {
    return this.#wordLink;
  }

  /** @param {WordLink | null} link */
  set wordLink(link) {
    this.#wordLink = functionOrNull("wordLink", link, "({ text, at }) => ({ href, label })");
  }

  /** The position in the text where the model's memory begins, shown by a faint line; null: none. It moves with the text around it. @returns {number | null} */
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

  /** Focuses the text. @param {FocusOptions} [options] */
  focus(options) {
    this.#view.focus(options);
  }

  connectedCallback() {
    takeEarlyProperties(this, TokenFormerElement.prototype);
    if (this.hasAttribute("autoload")) this.load().catch(() => {});
  }

  /** Moved into another document, which does not have this document's styles. */
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

  /** Loads the model that the attributes name, unless it is loaded already; resolves to it. @returns {Promise<TokenFormer>} */
  load() {
    const key = JSON.stringify(LOADING_ATTRIBUTES.map((name) => this.getAttribute(name)));
    // A model that was disposed, whose engine stopped, or whose load was aborted is loaded again.
    const isDead = this.#model ? !isUsable(this.#model) : this.#loading?.controller.signal.aborted;
    if (this.#loading?.key === key && !isDead) return this.#loading.promise;
    this.#unload();
    const loading = /** @type {Loading} */ ({ key, controller: new AbortController() });
    this.#loading = loading;
    loading.promise = this.#load(loading);
    return loading.promise;
  }

  /**
   * Continues `prompt`, which then becomes the whole text, or the current text; resolves to the result. Stops a text in
   * progress.
   * @param {string | TokenIds | null} [prompt]
   */
  generate(prompt) {
    if ((prompt ?? null) === null) return this.#run(() => ({ prompt: this.#ownText() }));
    // The text of token ids is not known here: only what is generated from them is shown.
    if (typeof prompt !== "string" || loneSurrogateAt(prompt) >= 0) return this.#run(() => ({ prompt, from: 0 }));
    this.#endWriting();
    if (asInField(prompt) !== this.text) this.#view.setText(prompt);
    return this.#run(() => ({ prompt: this.#ownText() }));
  }

  /**
   * Replaces the model's last passage; without one, same as `generate`. What the visitor wrote after it continued that
   * passage and is removed with it; `undo` brings both back.
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
   * Writes `n` continuations of `prompt`, or of the text, side by side; resolves to their results. None is inserted
   * into the text: the event `alternative` reports every token, and `splice` inserts the chosen one.
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
   * Replaces the text from `start` to `end` by passages, or by tokens of the model; `undo` reverts it.
   * @param {number} start
   * @param {number} end
   * @param {Iterable<Part>} parts
   */
  splice(start, end, parts) {
    this.#endWriting();
    // After a space, generation continues with a token that begins with that space.
    const isHealed = this.text.slice(0, start).endsWith(" ") && !this.hasAttribute("no-heal");
    const checked = Array.from(parts, ({ text, written, ...token }, i) => ({
      ...token,
      text: checkText("parts", text),
      written: Boolean(written),
      ...(i === 0 && isHealed && { isHealed }),
    }));
    this.#view.splice(start, end, checked);
  }

  /** Position of the caret in the text, or the start of the selection. */
  get selectionStart() {
    return this.#view.surface.selectionStart;
  }

  set selectionStart(place) {
    this.#view.surface.selectionStart = place;
  }

  /** The rectangle of a text position in the window; null in the token view, and without layout. @param {number} place */
  rectAt(place) {
    return this.hasAttribute("token-view") ? null : this.#view.surface.rectAt(place);
  }

  /** Whether no listener cancels the button's default action. @param {"generate" | "regenerate"} call @returns {boolean} */
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

  /** Undoes the last change, typed or generated; false if there is none. */
  undo() {
    return this.#view.undo();
  }

  /** Redoes the change that `undo` reverted; false if there is none. */
  redo() {
    return this.#view.redo();
  }

  /** Continues with another token instead of one in the text. @param {import("./text-tokens.js").Item} item @param {Token} alternative */
  #writeOnWith({ piece, offset }, { text, ...token }) {
    const { manuscript } = this.#view;
    const from = manuscript.cutAt(piece, offset);
    const isHealed = manuscript.pieces[from]?.token?.isHealed === true;
    const first = { ...token, isHealed, text: isHealed ? text.replace(/^ /, "") : text };
    return this.#run(() => ({ prompt: manuscript.textBefore(from) + first.text, from, first }));
  }

  /** Stops a text whose position is about to be removed. A call still waiting for its model has no position yet: it will continue the text of that moment. */
  #endWriting() {
    if (!this.#view.isWriting) return;
    this.#writing?.abort();
    this.#writing = null;
    this.#view.showIdle("");
  }

  /**
   * `plan` is called twice: once for errors, which are reported before anything is downloaded, and again once the model
   * is loaded, since visitors write while they wait.
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

  /** The token view needs alternatives, unless the page sets their number. */
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

  /** Stops the text, empties the page, restores the attribute's prompt and clears the model's context. */
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
      // Pages that show errors should not show that an element was removed, or given another model.
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
    // The space that such a token begins with is the prompt's trailing space.
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
   * Releases the model, whose memory is freed if no other element uses it. Stops its text for this element; `#writing`
   * is left alone, since it may belong to the call that is about to load another model.
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

  /** Does not bubble: `load`, `progress` and `error` are also names of the page's own events. @param {keyof import("../../tokenformer.js").TokenFormerEventMap} type @param {unknown} detail */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

defineProperties(TokenFormerElement.prototype);
