// The selected parameter token: what it pushes, where it fires, and the button that switches it off.

import { make } from "../../lib/element/dom.js";
import { quoted } from "../../lib/element/token-words.js";
import { byId } from "../elements.js";
import { inWords, keyOf, writesWords } from "./places.js";

/** @typedef {import("./places.js").Place} Place */
/** @typedef {import("./study.js").Study} Study */

/** Switching off needs the same activation as packs: it changes sums that other activations do not have. */
const ACTIVATION = "l2_norm_gelu";
/** What tokens of the kinds that do not push words do. @type {Record<string, string>} */
export const STEERS = {
  query: "steers which earlier words are read again",
  key: "steers which earlier words are read again",
  value: "steers what is taken from earlier words",
};

/** @param {Place} place @param {boolean} isAsked the visitor chose it, so the page scrolls there */
export function showPlace(place, isAsked) {
  byId("token").hidden = false;
  byId("token-title").textContent = inWords(place);
  byId("pushes").hidden = !writesWords(place);
  byId("steers").hidden = writesWords(place);
  byId("steers").textContent = `Its value pushes no words itself: it ${STEERS[place.kind]}.`;
  if (isAsked) byId("token-title").focus();
}

/** What a parameter token pushes, on both sides. @param {Study} study @param {Place} place @param {AbortSignal} signal */
export async function showPushes(study, place, signal) {
  for (const way of /** @type {const} */ (["up", "down"])) byId(way).replaceChildren();
  const told = await study.promotes(place);
  if (signal.aborted) return;
  for (const way of /** @type {const} */ (["up", "down"]))
    byId(way).replaceChildren(
      ...(told?.[way] ?? []).map(({ text, logit }) =>
        make(
          "li",
          {},
          make("span", { dir: "auto", text: quoted(text, "")[0] }),
          make("span", { className: "number", text: logit.toFixed(2).replace("-", "−") }),
        ),
      ),
    );
}

/** Whether a model has a parameter token. @param {Place} place @param {import("../../tokenformer.js").TokenFormer} model */
export function isThere({ layer, kind, slot, pack }, { info, packs }) {
  const { num_layers, qkv_slot_num, proj_slot_num, ffn_slot_num } = info.config;
  if (layer >= num_layers) return false;
  if (pack !== undefined) return packs.some(({ name }) => name === pack);
  return slot < (kind === "mlp" ? ffn_slot_num : kind === "proj" ? proj_slot_num : qkv_slot_num);
}

/** Label of the button that switches it off. @param {Place | null} place @param {{ has: (place: Place) => boolean }} changes @param {import("../../tokenformer.js").TokenFormer} model */
export function showSwitch(place, changes, { info }) {
  const button = byId("add-change", HTMLButtonElement);
  const isPossible = info.config.norm_activation_type === ACTIVATION;
  const isIn = place !== null && changes.has(place);
  button.disabled = !isPossible || isIn || place === null;
  button.textContent = !isPossible
    ? "Tokens of this kind of model cannot be switched off"
    : isIn
      ? "It is among the changed ones below"
      : "Switch it off";
}

/** Without duplicates and without those that the model lacks. @template {Place} P @param {readonly P[]} places @param {import("../../tokenformer.js").TokenFormer} model */
export function thoseThere(places, model) {
  const known = new Map(places.filter((place) => isThere(place, model)).map((place) => [keyOf(place), place]));
  return [...known.values()];
}
