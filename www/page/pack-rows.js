// The list of packs: a switch and a strength for each, a file to save, and its training text.

import { MOST_STRENGTH } from "../lib/api/option-checks.js";
import { make } from "../lib/element/dom.js";
import { byId } from "./elements.js";
import { size } from "./published.js";
import { saveFile } from "./save-file.js";

/** @typedef {import("./packs/shelf.js").Shelf} Shelf */
/** @typedef {import("./packs/shelf.js").Entry} Entry */

/** Range of the slider; the number field beside it accepts every strength that a pack can have. */
const SLIDER = { min: "0", max: "2", step: "0.05" };
const NUMBER = { min: String(-MOST_STRENGTH), max: String(MOST_STRENGTH), step: "0.05" };
/** How long a slider must rest before the model is changed: each change makes it process its context again. */
const REST_MS = 150;

export class PackRows {
  #shelf;
  #tell;
  /** @type {Map<string, ReturnType<PackRows["row"]>>} */
  #rows = new Map();

  /** @param {Shelf} shelf @param {(sentence: string, undo?: () => Promise<void>) => void} tell */
  constructor(shelf, tell) {
    this.#shelf = shelf;
    this.#tell = tell;
  }

  /** Updates the list. Rows that stay keep the focus. */
  show() {
    const { entries } = this.#shelf;
    const ids = new Set(entries.map(({ id }) => id));
    for (const id of [...this.#rows.keys()]) if (!ids.has(id)) this.#rows.delete(id);
    const nodes = entries.map((entry) => {
      const row = this.#rows.get(entry.id) ?? this.row(entry.id);
      this.#rows.set(entry.id, row);
      row.show(entry);
      return row.node;
    });
    const list = byId("pack-list");
    if (nodes.some((node, i) => list.children[i] !== node) || list.children.length !== nodes.length)
      list.replaceChildren(...nodes);
    byId("no-packs").hidden = entries.length > 0;
    const on = entries.filter((entry) => entry.isOn && entry.fault === "" && this.#shelf.fits(entry)).length;
    byId("packs-on").textContent = on > 0 ? ` · ${on}` : "";
    byId("open-teach").title = on > 0 ? `${on === 1 ? "One pack is" : `${on} packs are`} on` : "";
  }

  /** @param {string} id */
  row(id) {
    const shelf = this.#shelf;
    const entryOf = () => shelf.get(id);
    const isOn = make("input", { type: "checkbox", id: `pack-on-${id}` });
    const name = make("label", { htmlFor: isOn.id, dir: "auto" });
    const strength = make("input", { type: "number", inputMode: "decimal", ...NUMBER });
    const slider = make("input", { type: "range", ...SLIDER });
    const about = make("p", { className: "about" });
    const fault = make("p", { className: "wrong", hidden: true });
    const keep = make("button", { type: "button", className: "link", text: "Keep" });
    const save = make("button", { type: "button", className: "link", text: "Save as a file" });
    const remove = make("button", { type: "button", className: "link", text: "Delete" });
    const node = make(
      "li",
      { className: "setting pack" },
      make("div", { className: "pack-name" }, isOn, name),
      strength,
      slider,
      about,
      fault,
      make("div", { className: "story-acts" }, keep, save, remove),
    );

    isOn.addEventListener("change", () => shelf.change(id, { isOn: isOn.checked }));
    let timer = 0;
    const set = (/** @type {string} */ text) => {
      const value = Number(text);
      const isValid = text.trim() !== "" && Math.abs(value) <= MOST_STRENGTH;
      strength.toggleAttribute("aria-invalid", false);
      if (!isValid) return strength.setAttribute("aria-invalid", "true");
      clearTimeout(timer);
      timer = window.setTimeout(() => shelf.change(id, { strength: value, isOn: true }), REST_MS);
    };
    slider.addEventListener("input", () => set((strength.value = slider.value)));
    strength.addEventListener("input", () => set((slider.value = strength.value)));
    keep.addEventListener("click", async () => {
      if (await shelf.keep(id)) this.#tell(`“${entryOf()?.name}” is saved in this browser.`);
    });
    save.addEventListener("click", () => {
      const { pack, name } = entryOf() ?? {};
      if (pack) saveFile(pack.toBlob(), fileName(name ?? pack.name));
    });
    remove.addEventListener("click", async () => {
      const next = node.nextElementSibling ?? node.previousElementSibling;
      const { name } = entryOf() ?? {};
      const undo = await shelf.remove(id);
      /** @type {HTMLElement} */ (next?.querySelector("input") ?? byId("pack-address")).focus();
      this.#tell(`“${name}” is deleted.`, undo);
    });

    return {
      node,
      /** @param {Entry} entry */
      show(entry) {
        const fits = shelf.fits(entry);
        if (name.textContent !== entry.name) name.textContent = entry.name;
        strength.setAttribute("aria-label", `Strength of ${entry.name}`);
        slider.setAttribute("aria-label", `Strength of ${entry.name}, slider`);
        save.setAttribute("aria-label", `Save as a file: ${entry.name}`);
        remove.setAttribute("aria-label", `Delete ${entry.name}`);
        keep.setAttribute("aria-label", `Keep ${entry.name}`);
        isOn.checked = entry.isOn && entry.fault === "" && fits;
        for (const control of [isOn, strength, slider]) control.disabled = !fits;
        if (document.activeElement !== strength && document.activeElement !== slider)
          strength.value = slider.value = String(entry.strength);
        about.textContent = aboutOf(entry, fits);
        fault.hidden = entry.fault === "";
        fault.textContent = entry.fault;
        keep.hidden = entry.isKept || entry.pack === null;
        save.hidden = entry.pack === null;
      },
    };
  }
}

/** @param {Entry} entry @param {boolean} fits whether it fits the page's model */
function aboutOf({ pack, address, isKept }, fits) {
  const { training } = pack ?? {};
  const { before, after } = training?.validation ?? {};
  const parts = [
    !fits && `made for another model${pack?.base?.id ? `: ${pack.base.id}` : ""}`,
    pack ? size(pack.bytes) : "fetched when the model is loaded",
    before !== undefined && after !== undefined && `surprise ${before.toFixed(2)}, then ${after.toFixed(2)}`,
    address !== null ? `from a link: ${address}` : !isKept && "not saved yet",
  ];
  return parts.filter(Boolean).join(" · ");
}

/** @param {string} name */
function fileName(name) {
  const plain = name.replace(/[\u0000-\u001f\u007f<>:"/\\|?*]+/g, " ").trim();
  return `${plain || "pack"}.pack.safetensors`;
}
