// The active token packs of a model. The engine holds their tokens, and applies them in the order of their names.

import { invalidArgument } from "../errors.js";
import { checkPackOptions, checkStrength, MOST_PACKS } from "./options.js";
import { packReader } from "./pack-sources.js";
import { TokenPack } from "./token-pack.js";

/** @typedef {import("../engine/port.js").Made["engine"]} Engine */
/** @typedef {import("./pack-sources.js").Hub} Hub */
/**
 * Calls the engine when it is this call's turn; `before` also runs in that turn, while the engine is idle.
 * @typedef {<T, B = void>(name: string, work: (engine: Engine, before: B) => T | Promise<T>, how?: { before?: (signal: AbortSignal) => Promise<B> }) => Promise<T>} Invoke
 */

export class Packs {
  /** @type {Map<string, TokenPack>} */
  #packs = new Map();
  #invoke;
  #hub;

  /** @param {Invoke} invoke @param {Hub} hub where repositories are looked up */
  constructor(invoke, hub) {
    this.#invoke = invoke;
    this.#hub = hub;
  }

  /** In the order of their names. */
  get list() {
    return [...this.#packs.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** What `info` says about them. */
  get info() {
    return this.list.map(({ name, strength, tokens, bytes }) => ({ name, strength, tokens, bytes }));
  }

  /** @param {unknown} source @param {unknown} options @returns {Promise<TokenPack>} */
  async add(source, options) {
    const read = packReader("pack", source);
    const { name, strength } = checkPackOptions(options);
    return this.#invoke(
      "addPack",
      async (engine, /** @type {TokenPack} */ pack) => {
        if (!this.#packs.has(pack.name) && this.#packs.size >= MOST_PACKS)
          throw invalidArgument(
            `A model has at most ${MOST_PACKS} packs.`,
            "Remove one first: model.removePack(name).",
          );
        await engine.addPack(TokenPack.bytesOf(pack), { name: pack.name, strength: pack.strength });
        this.#packs.set(pack.name, pack);
        return pack;
      },
      {
        before: async (signal) => {
          const { bytes, ...told } = await read(this.#hub, signal);
          const given = { ...told, ...(name !== undefined && { name }), ...(strength !== undefined && { strength }) };
          const pack = new TokenPack(bytes, given);
          checkStrength({ strength: pack.strength }); // that of the file
          return pack;
        },
      },
    );
  }

  /** @param {unknown} name @param {unknown} options */
  async set(name, options) {
    const strength = checkStrength(options);
    await this.#invoke("setPack", async (engine) => {
      const pack = this.#named(name);
      await engine.setPack(pack.name, strength);
      this.#packs.set(pack.name, pack.withStrength(strength));
    });
  }

  /** @param {unknown} name */
  async remove(name) {
    await this.#invoke("removePack", async (engine) => {
      const pack = this.#named(name);
      await engine.removePack(pack.name);
      this.#packs.delete(pack.name);
    });
  }

  /** @param {string} name */
  has(name) {
    return this.#packs.has(name);
  }

  /** @param {unknown} name */
  #named(name) {
    const pack = this.#packs.get(/** @type {string} */ (name));
    if (pack) return pack;
    const names = [...this.#packs.keys()].map((one) => JSON.stringify(one)).join(", ");
    throw invalidArgument(
      `The model has no pack ${typeof name === "string" ? JSON.stringify(name) : "of that name"}.`,
      names ? `Its packs are ${names}.` : "Add one first: await model.addPack(pack).",
    );
  }
}
