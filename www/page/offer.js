// All pages of this site can use the page's model at v1/completions: the service worker forwards such requests here.

import { serveRequests } from "../requests.js";

/** Offers the model that the element has loaded, until it loads another one. @param {import("../tokenformer.js").TokenFormerElement} writer */
export function offerModel(writer) {
  let offer = new AbortController();
  writer.addEventListener("load", ({ detail: model }) => {
    offer.abort();
    offer = new AbortController();
    // An insecure page has no service worker, and nothing that could send requests.
    serveRequests(model, { signal: offer.signal }).catch(() => {});
  });
}
