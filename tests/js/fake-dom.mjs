// As much of a document as <token-former> needs, for tests of its behaviour in node.

class FakeNode extends EventTarget {
  children = [];
  textContent = "";
  attributes = new Map();
  isConnected = false;
  value = "";
  append(...nodes) {
    this.children.push(...nodes);
  }
  replaceChildren(...nodes) {
    this.children = nodes;
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
    this.attributes.delete(name);
  }
  attachShadow() {
    this.shadow = new FakeNode();
    return this.shadow;
  }
  getRootNode() {
    return {};
  }
  focus() {}
}

/** All nodes below one, itself included. */
export function nodesBelow(node) {
  return [node, ...(node.children ?? []).flatMap(nodesBelow)];
}

/** The text that the element shows in one of its parts. */
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
  }),
};
globalThis.requestAnimationFrame = (callback) => setTimeout(callback, 1);
globalThis.cancelAnimationFrame = clearTimeout;
