// As much of a document as <token-former> needs, for tests of its behaviour in node.

class FakeNode extends EventTarget {
  children = [];
  textContent = "";
  attributes = new Map();
  isConnected = false;
  selectionStart = 0;
  selectionEnd = 0;
  #value = "";
  /** Like a text field's: lines end in "\n", and a new text moves the caret to its end. */
  get value() {
    return this.#value;
  }
  set value(given) {
    const value = typeof given === "string" ? given.replace(/\r\n?/g, "\n") : given; // a progress bar has a number
    if (value !== this.#value) this.setSelectionRange(value.length, value.length);
    this.#value = value;
  }
  setSelectionRange(start, end) {
    [this.selectionStart, this.selectionEnd] = [start, end];
  }
  setRangeText(text, start, end) {
    this.#value = this.#value.slice(0, start) + text + this.#value.slice(end);
  }
  get firstChild() {
    return this.children[0] ?? null;
  }
  append(...nodes) {
    for (const node of nodes) this.insertBefore(node, null);
  }
  replaceChildren(...nodes) {
    this.children = [];
    this.append(...nodes);
  }
  insertBefore(node, before) {
    this.children.splice(before ? this.children.indexOf(before) : this.children.length, 0, node);
    if (node instanceof FakeNode) node.parent = this;
  }
  remove() {
    this.parent.children.splice(this.parent.children.indexOf(this), 1);
  }
  contains(node) {
    return nodesBelow(this).includes(node);
  }
  getAttribute(name) {
    return this.attributes.get(name) ?? null;
  }
  hasAttribute(name) {
    return this.attributes.has(name);
  }
  querySelectorAll() {
    return [];
  }
  setAttribute(name, value) {
    const before = this.getAttribute(name);
    this.attributes.set(name, value);
    if (this.constructor.observedAttributes?.includes(name)) this.attributeChangedCallback(name, before, value);
  }
  removeAttribute(name) {
    const before = this.getAttribute(name);
    this.attributes.delete(name);
    if (this.constructor.observedAttributes?.includes(name)) this.attributeChangedCallback(name, before, null);
  }
  attachShadow(options) {
    this.shadow = new FakeNode();
    this.shadowOptions = options;
    return this.shadow;
  }
  getRootNode() {
    return {};
  }
  querySelector(selector) {
    return this.querySelectorAll(selector)[0] ?? null;
  }
  getBoundingClientRect() {
    return { left: 0, top: 0, width: 0, height: 0 };
  }
  focus() {}
}

/** All nodes below one, itself included. */
export function nodesBelow(node) {
  return [node, ...(node.children ?? []).flatMap(nodesBelow)];
}

/** The text shown in one of the element's parts. */
export function textOfPart(element, part) {
  const found = nodesBelow(element.shadow).find((node) => node.attributes?.get("part") === part);
  return nodesBelow(found)
    .map((node) => node.data ?? node.textContent)
    .join("|");
}

globalThis.HTMLElement = FakeNode;
globalThis.CSSStyleSheet = class {
  replaceSync() {}
};
globalThis.CustomEvent ??= class extends Event {
  constructor(type, { detail }) {
    super(type);
    this.detail = detail;
  }
};
globalThis.document = {
  baseURI: "https://site.example/",
  createElement: () => new FakeNode(),
  createTextNode: (data) => ({
    data,
    appendData(more) {
      this.data += more;
    },
    replaceData(start, count, text) {
      this.data = this.data.slice(0, start) + text + this.data.slice(start + count);
    },
  }),
};
globalThis.requestAnimationFrame = (callback) => setTimeout(callback, 1);
globalThis.cancelAnimationFrame = clearTimeout;
