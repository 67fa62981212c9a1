// The element's attributes as properties, since frameworks assign a property if an element has one of that name. Each
// has two names, its attribute's (`max-tokens`, as in templates) and its JavaScript name (`maxTokens`).

import { invalidArgument } from "../errors.js";
import { isPlainObject, typeName } from "../api/inputs.js";
import { ATTRIBUTE_TABLE, parse } from "./attributes.js";

/** @typedef {import("./attributes.js").Attribute} Attribute */
/** @typedef {(event: Event) => unknown} Handler */

/** Events whose handler properties HTML's elements do not have yet: `ontoken`, `ondone`. */
export const HANDLED_EVENTS = Object.freeze(["token", "done"]);

const BY_NAME = new Map(ATTRIBUTE_TABLE.map((row) => [row.attribute, row]));

/**
 * Sets an attribute to the value assigned to its property: a string unchanged; true, numbers, arrays and objects in the
 * attribute's format. null, undefined and false remove the attribute, since frameworks assign them to a property that a
 * template no longer sets; so does "", which is Preact's null, except for a boolean attribute, which HTML turns on by
 * it. An attribute that already has the value is not touched. Throws `invalid-argument`.
 * @param {Element} element
 * @param {string} name
 * @param {unknown} value
 */
export function setAttribute(element, name, value) {
  const text = asText(/** @type {Readonly<Attribute>} */ (BY_NAME.get(name)), value);
  if (text === element.getAttribute(name)) return;
  if (text === null) element.removeAttribute(name);
  else element.setAttribute(name, text);
}

/**
 * Checks a value assigned to a property that holds a function. Throws `invalid-argument`.
 * @template {Function} F
 * @param {string} name @param {F | null | undefined} value @param {string} form its signature, for the message
 */
export function functionOrNull(name, value, form) {
  if ((value ?? null) !== null && typeof value !== "function")
    throw invalidArgument(`${name} must be a function or null.`, `Assign ${form}.`);
  return value ?? null;
}

/** @param {Readonly<Attribute>} attribute @param {unknown} value @returns {string | null} */
function asText({ attribute, kind }, value) {
  if (value === null || value === undefined || value === false) return null;
  if (typeof value === "string") return value === "" && kind !== "boolean" ? null : value;
  if (kind === "boolean") return value ? "" : null;
  if (kind === "number" && typeof value === "number") return String(value);
  if (kind === "text" && Object.prototype.toString.call(value) === "[object URL]") return String(value); // of whatever frame
  if (kind === "json" && (Array.isArray(value) || isPlainObject(value))) return json(attribute, value);
  // A source without an address cannot be an attribute: model.addPack accepts it.
  const isListed = (/** @type {unknown} */ item) => typeof item === "string" || typeof Object(item).pack === "string";
  if (kind === "list" && Array.isArray(value) && value.every(isListed)) return json(attribute, value);
  const wanted = {
    text: "a string",
    number: "a number",
    json: "an array, an object, or JSON",
    list: "an array of addresses",
  }[kind];
  throw invalidArgument(`${attribute} must be ${wanted}, not ${typeName(value)}.`);
}

/** @param {string} name @param {unknown} value */
function json(name, value) {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    throw invalidArgument(`${name} cannot be written as JSON: ${/** @type {Error} */ (cause).message}`);
  }
}

/** An attribute's value as its property returns it; null if it is absent or not readable. @param {Element} element @param {Readonly<Attribute>} attribute */
function valueOf(element, { attribute, kind }) {
  const text = element.getAttribute(attribute);
  if (kind === "boolean") return text !== null; // Vue asks what type a property has
  if (text === null) return null;
  try {
    return parse(attribute, text, kind);
  } catch {
    return null; // told when it is used
  }
}

/** Adds properties for all attributes and event handlers that a class of elements does not define itself. @param {Element} prototype */
export function defineProperties(prototype) {
  for (const row of ATTRIBUTE_TABLE) {
    for (const name of new Set([row.property, row.attribute])) {
      define(prototype, name, {
        /** @this {Element} */
        get() {
          return valueOf(this, row);
        },
        /** @this {Element} @param {unknown} value */
        set(value) {
          setAttribute(this, row.attribute, value);
        },
      });
    }
  }
  for (const type of HANDLED_EVENTS) define(prototype, `on${type}`, handlerOf(type));
}

/** @param {Element} prototype @param {string} name @param {PropertyDescriptor} accessors */
function define(prototype, name, accessors) {
  if (Object.hasOwn(prototype, name)) return;
  Object.defineProperty(prototype, name, { ...accessors, configurable: true, enumerable: true });
}

/** A handler that works like HTML's `onclick`: the last one assigned runs at the first one's position. @param {string} type @returns {PropertyDescriptor} */
function handlerOf(type) {
  /** @type {WeakMap<Element, Handler | null>} */
  const handlers = new WeakMap();
  return {
    /** @this {Element} */
    get() {
      return handlers.get(this) ?? null;
    },
    /** @this {Element} @param {unknown} handler */
    set(handler) {
      if (!handlers.has(this)) this.addEventListener(type, (event) => handlers.get(this)?.call(this, event));
      handlers.set(this, typeof handler === "function" ? /** @type {Handler} */ (handler) : null);
    },
  };
}

/**
 * A value assigned before the element was defined hides its accessors: assign it again, in the same order.
 * @param {Element} element
 * @param {Element} prototype
 */
export function takeEarlyProperties(element, prototype) {
  const own = /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (element));
  for (const name of Object.getOwnPropertyNames(own)) {
    if (!Object.getOwnPropertyDescriptor(prototype, name)?.set) continue;
    const value = own[name];
    delete own[name];
    own[name] = value;
  }
}
