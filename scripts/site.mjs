// What a page can say only where it is known: the address that the site has for good, and where its source is.
//
// All addresses in dist/ are relative, so that it can stand anywhere. But some programs that preview links want the whole
// address of a page's picture, and a page cannot know where its source lies. Who builds for a known place says so:
//
//     TOKENFORMER_SITE=https://site.example/app/     or "homepage" in package.json
//     TOKENFORMER_SOURCE=https://code.example/app    or "repository" in package.json

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** `{ site, source }` of the environment and of package.json; "" for what neither tells. Throws for what is no http address. */
export function placesOf(env, { homepage = "", repository = "" } = {}) {
  const url = typeof repository === "string" ? repository : (repository.url ?? "");
  const site = addressOf("TOKENFORMER_SITE or homepage", env.TOKENFORMER_SITE || homepage);
  const source = addressOf(
    "TOKENFORMER_SOURCE or repository",
    env.TOKENFORMER_SOURCE || url.replace(/^git\+|\.git$/g, ""),
  );
  return { site: site && site.replace(/\/?$/, "/"), source };
}

function addressOf(what, given) {
  if (given === "") return "";
  const url = URL.canParse(given) ? new URL(given) : null;
  if (!/^https?:$/.test(url?.protocol ?? ""))
    throw new Error(`${what} must be an http or https address, not ${given}.`);
  return url.href;
}

/** The page with these in it; as it is where neither is known, and the same again where it has them. */
export function withPlaces(html, { site, source }) {
  let text = html;
  if (site)
    text = text
      .replace(/(<meta property="og:image" content=")(?:[^"]*\/)?(pictures\/[^"]+)"/, `$1${escaped(site)}$2"`)
      .replace(/\n *<meta property="og:url"[^>]*>/, "")
      .replace(/(\n *)(<meta property="og:type"[^>]*>)/, `$1$2$1<meta property="og:url" content="${escaped(site)}" />`);
  if (source) text = text.replace(/(<a id="source" href=")[^"]*(">)[^<]*/, `$1${escaped(source)}$2Source`);
  return text;
}

const escaped = (address) => address.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("$", "$$$$");

/** Puts them into the page of the build in `folder`. */
export function placeSite(folder) {
  const file = join(folder, "index.html");
  const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  writeFileSync(file, withPlaces(readFileSync(file, "utf8"), placesOf(process.env, manifest)));
}
