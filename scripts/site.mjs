// Facts that a page cannot find out by itself: the permanent address of the site, and that of its source code.
//
// All addresses in dist/ are relative, so that it can be hosted anywhere. But some programs that preview links need the
// full address of a page's image, and a page cannot know where its source code is. To build for a known place, set:
//
//     TOKENFORMER_SITE=https://site.example/app/     or "homepage" in package.json
//     TOKENFORMER_SOURCE=https://code.example/app    or "repository" in package.json

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** `{ site, source }` from the environment and package.json; "" if neither sets it. Throws if one is not an http address. */
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

/** The page with these addresses; unchanged if neither is known, or if it has them already. */
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

/** Writes them into the page of the build in `folder`. */
export function placeSite(folder) {
  const file = join(folder, "index.html");
  const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  writeFileSync(file, withPlaces(readFileSync(file, "utf8"), placesOf(process.env, manifest)));
}
