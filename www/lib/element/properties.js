// The element's attributes as properties, since frameworks assign a property where an element has one of that name. Each
// has two names, its attribute's (`max-tokens`, as templates write it) and the one of JavaScript (`maxTokens`).

import { invalidArgument } from "../errors.js";
import { isPlainObject, typeName } from "../api/inputs.js";
import { ATTRIBUTE_TABLE, parse } from "./attributes.js";

/** @typedef {import("./attributes.js").Attribute} Attribute */
/** @typedef {(event: Event) => unknown} Handler */

/** Events whose handlers HTML's elements do not have as properties yet: `ontoken`, `ondone`. */
export const HANDLED_EVENTS = Object.freeze(["token", "done"]);

const BY_NAME = new Map(ATTRIBUTE_TABLE.map((row) => [row.attribute, row]));

/**
 * Sets an attribute to what is assigned to its property: a text as it is; true, numbers, arrays and objects in the form that
 * the attribute has. null, undefined and false take the attribute away, since frameworks assign them to a property that a
 * template no longer names; so does "", which is Preact's null, but for a switch, which HTML switches on by it. Nothing
 * happens to an attribute that says so already. Throws `invalid-argument`.
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
 * What is assigned to a property that holds a function. Throws `invalid-argument`.
 * @template {Function} F
 * @param {string} name @param {F | null | undefined} value @param {string} form the function, as it is to be written
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
  // What no address names is no attribute: model.addPack takes it.
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

/** What an attribute says, as its property tells it; null where it is not there, or says nothing that can be read. @param {Element} element @param {Readonly<Attribute>} attribute */
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

/** Gives a class of elements the properties of all attributes, and of handlers, that it does not define itself. @param {Element} prototype */
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

/** A handler as HTML's `onclick` is one: the last that was assigned, in the place of the first. @param {string} type @returns {PropertyDescriptor} */
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
 * What was assigned before the element was defined stands in front of its accessors: it is assigned again, in the same order.
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
