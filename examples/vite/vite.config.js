export default {
  // Addresses relative to the page: the build can be put under any path.
  base: "./",
  // Bundling it for `vite dev` would tear module, worker and wasm apart.
  optimizeDeps: { exclude: ["tokenformer-web"] },
};
