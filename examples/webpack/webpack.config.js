// Nothing here is for tokenformer-web: webpack finds worker and wasm by itself. The model is copied beside the bundle, as the
// script "build" in package.json does.

export default {
  mode: "production",
  entry: "./src/main.js",
};
