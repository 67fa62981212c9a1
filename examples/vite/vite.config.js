import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";

export default {
  // Addresses relative to the page: the build can be put under any path.
  base: "./",
  // Bundling it for `vite dev` would tear module, worker and wasm apart.
  optimizeDeps: { exclude: ["tokenformer-web"] },
  // npm installs a folder as a link, and `vite dev` serves nothing that a link leads to outside of the project, unless told.
  server: {
    fs: { allow: [".", realpathSync(fileURLToPath(new URL("node_modules/tokenformer-web", import.meta.url)))] },
  },
};
