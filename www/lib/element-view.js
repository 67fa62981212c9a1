// What <token-former> shows. It knows states and texts, and nothing of models.

import { STYLES } from "./element-styles.js";
import { progressInWords, progressShare } from "./status.js";

let sheet;

/** One sheet for all elements. A constructed one needs no 'unsafe-inline' in the page's policy. */
function adoptStyles(root) {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLES);
  }
  root.adoptedStyleSheets = [sheet];
}

function make(name, { part, text, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  if (part) element.setAttribute("part", part);
  if (text) element.textContent = text;
  element.append(...children);
  return element;
}

export class ElementView {
  #prompt = make("textarea", { part: "prompt", id: "prompt", rows: 2, spellcheck: false });
  #output = make("div", { part: "output", className: "output", id: "output", role: "region", ariaLabel: "What the model wrote" });
  #text = document.createTextNode("");
  #generate = make("button", { part: "button generate", type: "button", text: "Generate" });
  #stop = make("button", { part: "button stop", type: "button", className: "quiet", text: "Stop", hidden: true });
  #progress = make("progress", { part: "progress", max: 1, hidden: true, ariaLabel: "Loading the model" });
  #status = make("span", { part: "status" });
  #announcement = make("div", { className: "unseen", role: "status" });
  #error = make("div", { part: "error", className: "error", role: "alert", hidden: true });
  #pending = "";
  #frame = 0;

  /** @param {{ onGenerate: () => void, onStop: () => void }} actions */
  constructor(root, { onGenerate, onStop }) {
    adoptStyles(root);
    this.#output.append(this.#text);
    root.append(
      make("div", { part: "sheet", className: "sheet" },
        make("label", { className: "unseen", htmlFor: "prompt", text: "Beginning of the text" }), this.#prompt, this.#output),
      make("div", { part: "controls", className: "controls" }, this.#generate, this.#stop,
        make("div", { className: "state" }, this.#status, this.#progress)),
      this.#announcement,
      this.#error,
    );
    this.#generate.addEventListener("click", onGenerate);
    this.#stop.addEventListener("click", onStop);
    root.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) onGenerate();
      else if (event.key === "Escape" && !this.#stop.hidden) onStop();
      else return;
      event.preventDefault();
    });
  }

  get prompt() {
    return this.#prompt.value;
  }

  set prompt(text) {
    this.#prompt.value = text;
  }

  /** Between calls. */
  showIdle(status) {
    this.#flush();
    this.#setBusy(false);
    this.#status.textContent = status;
    this.#announcement.textContent = status;
  }

  /** A model is being loaded. */
  showLoading() {
    this.#hideError();
    this.#setBusy(true);
    this.#progress.removeAttribute("value");
    this.#progress.hidden = false;
    this.#status.textContent = "Loading";
    this.#announcement.textContent = "Loading the model";
  }

  showProgress(progress) {
    const share = progressShare(progress);
    if (share === null) this.#progress.removeAttribute("value");
    else this.#progress.value = share;
    this.#status.textContent = progressInWords(progress);
  }

  /** A text begins. */
  showWriting() {
    this.#hideError();
    this.#setBusy(true);
    this.clearOutput();
    this.#status.textContent = "Reading the prompt";
    this.#announcement.textContent = "Writing";
  }

  /** Adds to the text: once per frame, since the engine is faster than the screen. */
  append(text, status) {
    this.#pending += text;
    this.#frame ||= requestAnimationFrame(() => {
      this.#flush();
      this.#status.textContent = status();
    });
  }

  clearOutput() {
    this.#pending = "";
    this.#text.data = "";
  }

  /** An error: what happened, and what to do next. */
  showError({ message, hint }) {
    this.showIdle("");
    this.#error.replaceChildren(make("p", { text: message }), make("p", { text: hint }));
    this.#error.hidden = false;
  }

  #hideError() {
    this.#error.hidden = true;
  }

  #flush() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#text.appendData(this.#pending);
    this.#pending = "";
  }

  #setBusy(busy) {
    const focused = this.#generate.getRootNode().activeElement;
    this.#progress.hidden = true;
    this.#generate.hidden = busy;
    this.#stop.hidden = !busy;
    // The button that was pressed goes away: the keyboard stays where it was.
    if (focused === this.#generate && busy) this.#stop.focus();
    if (focused === this.#stop && !busy) this.#generate.focus();
  }
}
