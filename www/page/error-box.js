// An error as the pages that measure and explain show it: what happened, what to do, and its code.

import { make } from "../lib/element/dom.js";

/** @param {{ message: string, hint: string, code: string }} error */
export function errorBox({ message, hint, code }) {
  return make(
    "div",
    { className: "error" },
    make("p", { text: message }),
    make("p", { text: hint }),
    make("p", { className: "code", text: code }),
  );
}
