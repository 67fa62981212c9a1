// The view of a lesson: its progress, the curve, and what the model writes without and with what it has learned.

import { make } from "../lib/element/dom.js";
import { rate } from "../lib/element/status.js";
import { byId } from "./elements.js";
import { curveInWords, curveOf } from "./packs/curve.js";

/** @typedef {import("../tokenformer.js").TrainProgress} TrainProgress */
/** @typedef {import("./packs/lesson.js").Sample} Sample */

/** Size of the picture, in its own units. */
const SIZE = { width: 300, height: 100 };
const SVG = "http://www.w3.org/2000/svg";

export class LessonView {
  /** @type {TrainProgress[]} */
  #points = [];
  #frame = 0;
  #rounds = 0;

  /** A lesson starts. @param {string} beginning @param {number} rounds */
  begin(beginning, rounds) {
    this.#points = [];
    this.#rounds = rounds;
    byId("lesson-view").hidden = false;
    byId("lesson-end").hidden = true;
    byId("lesson-progress").removeAttribute("value");
    byId("lesson-words").textContent = "Writing a sample first.";
    byId("curve-words").textContent = curveInWords([]);
    byId("curve-range").textContent = "";
    draw();
    for (const id of ["sample-without", "sample-with"]) showSample(byId(id), beginning, "");
    byId("round-with").textContent = "";
  }

  /** @param {TrainProgress} progress */
  add(progress) {
    this.#points.push(progress);
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    const now = this.#points.at(-1);
    if (!now) return;
    const { step, steps, epoch, tokensPerSecond, secondsLeft } = now;
    const round = Math.min(this.#rounds, Math.max(1, Math.ceil(epoch)));
    const share = Math.floor((100 * step) / Math.max(steps, 1));
    byId("lesson-share").textContent = ` · ${share} %`;
    byId("lesson-progress", HTMLProgressElement).value = step / Math.max(steps, 1);
    byId("lesson-words").textContent = [
      `Round ${round} of ${this.#rounds} (${share} %)`,
      tokensPerSecond > 0 && `${rate(tokensPerSecond)} tokens/s`,
      step < steps && secondsLeft !== null && timeLeft(secondsLeft),
    ]
      .filter(Boolean)
      .join(" · ");
    byId("curve-words").textContent = curveInWords(this.#points);
    const curve = curveOf(this.#points, steps, SIZE);
    if (!curve) return;
    byId("curve-range").textContent = `${curve.most.toFixed(2)} at the top, ${curve.least.toFixed(2)} at the bottom`;
    const kept = curve.validation;
    draw(
      shape("path", { class: "curve-training", d: curve.training }),
      shape("path", { class: "curve-kept", d: kept.map(({ x, y }, i) => `${i === 0 ? "M" : "L"}${x} ${y}`).join("") }),
      ...kept.map(({ x, y }) => shape("circle", { class: "curve-kept", cx: x, cy: y, r: 2.5 })),
    );
  }

  /** @param {string} beginning @param {Sample | null} without @param {Sample | null} withIt */
  showSamples(beginning, without, withIt) {
    if (without) showSample(byId("sample-without"), beginning, without.text);
    if (!withIt) return;
    showSample(byId("sample-with"), beginning, withIt.text);
    byId("round-with").textContent = ` after round ${withIt.round}`;
  }

  /** The lesson has ended. @param {string} verdict @param {boolean} hasPack */
  end(verdict, hasPack) {
    if (this.#frame) cancelAnimationFrame(this.#frame);
    this.#draw();
    byId("lesson-share").textContent = "";
    byId("lesson-verdict").textContent = verdict;
    byId("lesson-end").hidden = !hasPack;
    if (!hasPack) byId("lesson-view").hidden = true;
  }

  close() {
    byId("lesson-view").hidden = true;
  }
}

/** @param {HTMLElement} place @param {string} beginning @param {string} text */
function showSample(place, beginning, text) {
  place.replaceChildren(make("span", { text: beginning }), text === "" ? " …" : text);
}

/** Replaces the picture's shapes. @param {Node[]} shapes */
function draw(...shapes) {
  byId("lesson-view")
    .querySelector(".curve svg")
    ?.replaceChildren(...shapes);
}

/** @param {number} seconds */
function timeLeft(seconds) {
  if (!(seconds >= 3)) return "";
  return seconds < 90 ? `about ${Math.round(seconds)} s left` : `about ${Math.round(seconds / 60)} min left`;
}

/** @param {string} name @param {Record<string, string | number>} attributes */
function shape(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}
