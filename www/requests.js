// The entry `tokenformer-web/service-worker`: requests of a site's pages, answered by a page that holds a model.

export { passRequests } from "./lib/http/pass.js";
export { serveRequests } from "./lib/http/serve.js";
