// The parameter tokens that wrote a word: as a list, and as the table that says what the map shows.

import { make } from "../../lib/element/dom.js";
import { visible } from "../../lib/element/token-words.js";
import { KINDS } from "../../lib/api/pack-file.js";
import { keyOf } from "./places.js";
import { STEERS } from "./token-panel.js";

/** @typedef {import("./places.js").Place} Place */
/** @typedef {import("./places.js").Strength} Strength */
/** @typedef {import("../../tokenformer.js").Promotes} Promotes */

/** Words that a row of the list shows. */
const WORDS = 5;

/** "12 %", "0.4 %". @param {number} share */
const share = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

/** The words that are pushed, as a list. @param {Promotes["up"]} pushed @param {number} count */
function pushedWords(pushed, count) {
  return pushed
    .slice(0, count)
    .map(({ text }) => `“${visible(text.trim() || text)}”`)
    .join(" ");
}

/** The side on which it pushes more. @param {Promotes} told */
function pushInWords({ up, down }) {
  const isUp = Math.abs(up[0]?.logit ?? 0) >= Math.abs(down[0]?.logit ?? 0);
  return isUp ? `towards ${pushedWords(up, WORDS)}` : `away from ${pushedWords(down, WORDS)}`;
}

/**
 * @param {HTMLElement} list
 * @param {readonly Strength[]} strengths
 * @param {object} page
 * @param {(place: Place) => Promise<Promotes | null>} page.promotes
 * @param {(place: Place) => void} page.onChoose
 * @param {string | null} page.chosen the key of the selected one
 */
export function showStrongest(list, strengths, { promotes, onChoose, chosen }) {
  const most = Math.max(...strengths.map((one) => one.share));
  const rows = strengths.map((strength) => {
    const { layer, kind, slot, pack } = strength;
    const bar = make("span", { className: "bar-of-share" });
    bar.style.setProperty("--share", String(strength.share / most));
    const pushed = make("span", { className: "pushed", dir: "auto" });
    const button = make(
      "button",
      { type: "button", className: pack === undefined ? "strength" : "strength of-pack" },
      make("span", { className: "which", text: `layer ${layer} · ${kind} · ${slot}${pack ? ` · ${pack}` : ""}` }),
      bar,
      make("span", { className: "number", text: share(strength.share) }),
      pushed,
    );
    button.setAttribute("data-key", keyOf(strength));
    button.setAttribute("aria-pressed", String(keyOf(strength) === chosen));
    button.addEventListener("click", () => onChoose(strength));
    promotes(strength).then(
      (told) => (pushed.textContent = told ? pushInWords(told) : STEERS[kind]),
      () => {}, // the model was given up, or the pack taken away
    );
    return make("li", {}, button);
  });
  const focused = list.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement) : null;
  const key = focused?.dataset.key;
  list.replaceChildren(...rows);
  const buttons = Array.from(list.querySelectorAll("button"));
  if (focused) (buttons.find((button) => button.dataset.key === key) ?? buttons[0])?.focus();
}

/** The strongest of each layer and kind. @param {HTMLElement} table @param {readonly Strength[]} strengths @param {{ onChoose: (place: Place) => void }} page */
export function showTable(table, strengths, { onChoose }) {
  const head = make("tr", {}, ...["Layer", ...KINDS].map((text) => make("th", { scope: "col", text })));
  /** @type {Map<string, Strength>} */
  const first = new Map();
  for (const one of strengths) {
    const place = `${one.layer}.${one.kind}`;
    if ((first.get(place)?.contribution ?? -1) < one.contribution) first.set(place, one);
  }
  const layers = [...new Set(strengths.map(({ layer }) => layer))].sort((a, b) => a - b);
  const rows = layers.map((layer) =>
    make(
      "tr",
      {},
      make("th", { scope: "row", text: String(layer) }),
      ...KINDS.map((kind) => {
        const one = first.get(`${layer}.${kind}`);
        if (!one) return make("td", { text: "–" });
        const button = make("button", { type: "button", className: "link", text: String(one.slot) });
        button.setAttribute("aria-label", `Layer ${layer}, ${kind}, token ${one.slot}, ${share(one.share)}`);
        button.addEventListener("click", () => onChoose(one));
        return make("td", {}, button, make("span", { className: "small", text: share(one.share) }));
      }),
    ),
  );
  table.replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
}
