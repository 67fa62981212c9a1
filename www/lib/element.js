// <token-former>: a prompt, a button and the text. Nothing is downloaded before a method is called,
// the button is pressed, or `autoload` is set.

import { ATTRIBUTES, LOADING_ATTRIBUTES, readGenerateAttributes, readLoadAttributes } from "./attributes.js";
import { ElementView } from "./element-view.js";
import { aborted, toTokenFormerError } from "./errors.js";
import { checkTextOrIds } from "./inputs.js";
import { isUsable } from "./model.js";
import { checkGenerateOptions } from "./options.js";
import { acquire } from "./shared-models.js";
import { adapterInWords, resultInWords, TokenMeter, writingInWords } from "./status.js";

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

  constructor() {
    super();
    this.#view = new ElementView(this.attachShadow({ mode: "open", delegatesFocus: true }), {
      onGenerate: () => this.generate().catch(() => {}), // shown, and told by the error event
      onStop: () => this.stop(),
    });
  }

  /** The loaded TokenFormer, or null. */
  get model() {
    return this.#model;
  }

  connectedCallback() {
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
    if (name === "prompt") this.#view.prompt = now ?? "";
    if (name === "autoload" && now !== null && this.isConnected) this.load().catch(() => {});
  }

  /** Loads the model that the attributes name, unless it is the loaded one; resolves to it. */
  load() {
    const key = JSON.stringify(LOADING_ATTRIBUTES.map((name) => this.getAttribute(name)));
    // A model that was disposed, or whose engine stopped, is loaded anew.
    const isDead = this.#model && !isUsable(this.#model);
    if (this.#loading?.key === key && !isDead) return this.#loading.promise;
    this.#unload();
    const loading = { key, controller: new AbortController(), promise: null };
    this.#loading = loading;
    loading.promise = this.#load(loading);
    return loading.promise;
  }

  /** Writes on from `prompt`, or from what stands in the field; resolves to the result. A text that is being written ends. */
  async generate(prompt) {
    this.#writing?.abort();
    const writing = new AbortController();
    this.#writing = writing;
    if (typeof prompt === "string") this.#view.prompt = prompt;
    try {
      // Mistakes are told before anything is downloaded for their sake.
      const input = checkTextOrIds("prompt", prompt ?? this.#view.prompt);
      const options = { ...readGenerateAttributes((name) => this.getAttribute(name)), signal: writing.signal };
      checkGenerateOptions(options);
      const model = await this.load();
      return await this.#write(model, input, options, writing);
    } catch (thrown) {
      throw this.#report(thrown, this.#writing === writing);
    } finally {
      if (this.#writing === writing) this.#writing = null;
    }
  }

  /** Ends the text that is being written, or the loading before it. */
  stop() {
    this.#writing?.abort();
    if (!this.#model) this.#loading?.controller.abort();
  }

  /** Ends the text, empties the page, puts the attribute's prompt back and makes the model forget. */
  async reset() {
    this.#writing?.abort();
    this.#writing = null;
    this.#view.prompt = this.getAttribute("prompt") ?? "";
    this.#view.clearOutput();
    if (!this.#model) return;
    this.#view.showIdle("");
    await this.#model.reset();
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
        this.#view.showProgress(progress);
        this.#tell("progress", progress);
      };
      const { model, release } = await acquire(name, options, { signal, onProgress });
      if (!isCurrent()) {
        await release();
        throw aborted("Loading");
      }
      this.#model = model;
      this.#release = release;
      const adapter = adapterInWords(model.info.adapter);
      this.#view.showIdle(adapter ? `Ready on ${adapter}` : "Ready");
      this.#tell("load", model);
      return model;
    } catch (thrown) {
      const visible = isCurrent();
      if (visible) this.#loading = null;
      throw this.#report(thrown, visible);
    }
  }

  async #write(model, input, options, writing) {
    const isCurrent = () => this.#writing === writing;
    const meter = new TokenMeter();
    this.#active = writing;
    if (isCurrent()) this.#view.showWriting();
    const chunks = model.generate(input, options);
    for (;;) {
      const { done, value } = await chunks.next();
      if (done) {
        if (isCurrent()) this.#view.showIdle(resultInWords(value));
        this.#tell("done", value);
        return value;
      }
      meter.add();
      if (isCurrent()) this.#view.append(value.text, () => writingInWords(meter.count, meter.tokensPerSecond));
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

  /** Not bubbling: `load`, `progress` and `error` are names of the page's own events. */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
