// Every page of this site reaches the page's model at v1/completions: the service worker passes such requests here.

import { serveRequests } from "../requests.js";

/** Offers what the element has loaded, until it loads another model. @param {import("../tokenformer.js").TokenFormerElement} writer */
export function offerModel(writer) {
  let offer = new AbortController();
  writer.addEventListener("load", ({ detail: model }) => {
    offer.abort();
    offer = new AbortController();
    // A page that is not secure has no service worker, and nothing that could ask.
    serveRequests(model, { signal: offer.signal }).catch(() => {});
  });
}
