// The embeddable module. Importing it defines <token-former> where there are custom elements;
// importing it twice, even from two addresses, leaves the first definition in place.

import { TokenFormerElement } from "./lib/element/element.js";

export { TokenFormerError } from "./lib/errors.js";
export { TokenFormer } from "./lib/api/model.js";

if (globalThis.customElements && !customElements.get("token-former")) {
  customElements.define("token-former", TokenFormerElement);
}
