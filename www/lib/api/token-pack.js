// A token pack in the public interface: its properties, and its file.

import { readHeader, withTold } from "./pack-file.js";

/** @typedef {import("../../tokenformer.js").PackTraining} PackTraining */

export class TokenPack {
  /** The whole file. */
  #bytes;

  /**
   * Throws `invalid-config` for a file that is no pack.
   * @param {Uint8Array} bytes a pack's file, which belongs to the pack from now on
   * @param {{ name?: string, strength?: number, training?: PackTraining, fallbackName?: string }} [told] overrides what
   *   the file says; `fallbackName`: a name for a file without one
   */
  constructor(bytes, { name, strength, training, fallbackName } = {}) {
    const header = readHeader(bytes);
    this.#bytes = bytes;
    this.name = name ?? header.name ?? fallbackName ?? "pack";
    this.strength = strength ?? header.strength;
    this.kinds = Object.freeze(header.kinds);
    this.tokens = header.tokens;
    this.bytes = bytes.length;
    this.base = header.base;
    this.training = training ?? header.training;
    Object.freeze(this);
  }

  /** The pack's file, a safetensors file. */
  toBlob() {
    const bytes = withTold(this.#bytes, { name: this.name, strength: this.strength });
    return new Blob([/** @type {BlobPart} */ (bytes)], { type: "application/octet-stream" });
  }

  /** The file as it was read. @param {TokenPack} pack */
  static bytesOf(pack) {
    return pack.#bytes;
  }

  /** Whether something is a pack of this module. @param {unknown} value @returns {value is TokenPack} */
  static is(value) {
    return typeof value === "object" && value !== null && #bytes in value;
  }

  /** The same tokens with another strength. @param {number} strength */
  withStrength(strength) {
    return new TokenPack(this.#bytes, { name: this.name, strength, training: this.training ?? undefined });
  }
}
