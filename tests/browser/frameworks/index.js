// An element in each framework, bound alike; bundled and run by frameworks.test.mjs.

export { mount as preact } from "./preact.jsx";
export { mount as react } from "./react.jsx";
export { mount as svelte } from "./svelte.js";
export { mount as vue } from "./vue.js";
