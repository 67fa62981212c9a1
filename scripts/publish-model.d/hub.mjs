// A checkpoint from the hub: an interrupted download is resumed, and compared with the hub's hash.

import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Refused } from "./options.mjs";

/** Attempts in a row without any data before a download fails. */
const ATTEMPTS = 6;
/** Timeout for an answer, or for its next bytes. */
const SILENCE_MS = 60_000;

/** A repository of a hub at one commit. */
export class Repository {
  #hub;
  #files = new Map();

  /** @param {{ endpoint: string, token?: string, wait?: (ms: number) => Promise<void> }} hub @param {string} name "owner/name" @param {string} commit */
  constructor(hub, name, commit) {
    [this.#hub, this.name, this.commit] = [hub, name, commit];
  }

  /** Requests the commit of a revision and the list of its files. */
  static async open(hub, name, revision) {
    const call = `${hub.endpoint}/api/models/${name}`;
    const { body } = await json(hub, `${call}/revision/${encodeURIComponent(revision)}`, name);
    if (!/^[0-9a-f]{40}$/.test(body.sha)) throw new Refused(`${hub.endpoint} names no commit of ${name}.`);
    const repository = new Repository(hub, name, body.sha);
    let next = `${call}/tree/${body.sha}?recursive=true`;
    while (next) {
      const { body, link } = await json(hub, next, name);
      for (const { type, path, size, oid, lfs } of body)
        if (type === "file") repository.#files.set(path, { path, size: lfs?.size ?? size, oid, sha256: lfs?.oid });
      next = /<([^>]+)>;\s*rel="?next"?/.exec(link ?? "")?.[1];
    }
    return repository;
  }

  /** Paths of all files. */
  get paths() {
    return [...this.#files.keys()];
  }

  has(path) {
    return this.#files.has(path);
  }

  size(path) {
    return this.#files.get(path).size;
  }

  /** Downloads a file to `target`; an existing one was verified when it was written. */
  async download(path, target, say = () => {}) {
    const file = this.#files.get(path);
    if (existsSync(target) && statSync(target).size === file.size) return;
    mkdirSync(dirname(target), { recursive: true });
    const part = `${target}.part`;
    await this.#fetch(file, part, say);
    const found = file.sha256 ? await hashOf("sha256", part) : await hashOf("sha1", part, `blob ${file.size}\0`);
    if (found !== (file.sha256?.replace(/^sha256:/, "") ?? file.oid)) {
      rmSync(part);
      throw new Refused(
        `${path} is not what the hub says: its hash is wrong. Run this again to download it once more.`,
      );
    }
    renameSync(part, target);
  }

  async #fetch({ path, size }, part, say) {
    const url = `${this.#hub.endpoint}/${this.name}/resolve/${this.commit}/${path}`;
    for (let failures = 0; ;) {
      const have = existsSync(part) ? statSync(part).size : 0;
      if (have === size) return;
      if (have > size) {
        rmSync(part);
        continue;
      }
      if (have > 0) say(`${path} goes on at ${Math.round((have / size) * 100)} %`);
      try {
        await this.#append(url, part, have, size);
      } catch (error) {
        if (error instanceof Refused) throw error;
        failures = existsSync(part) && statSync(part).size > have ? 1 : failures + 1;
        if (failures >= ATTEMPTS)
          throw new Refused(
            `${path} could not be downloaded: ${error.cause?.message ?? error.message}. Run this again: it goes on from there.`,
          );
        await (this.#hub.wait ?? pause)(1000 * 2 ** failures);
      }
    }
  }

  /** Downloads the rest of a file, to its end or until the connection breaks. */
  async #append(url, part, have, size) {
    const controller = new AbortController();
    let timer;
    const listen = () => {
      clearTimeout(timer);
      timer = setTimeout(() => controller.abort(new Error("the server fell silent")), SILENCE_MS);
    };
    listen();
    try {
      const range = have > 0 ? { Range: `bytes=${have}-${size - 1}` } : {};
      const response = await ask(this.#hub, url, this.name, { headers: range, signal: controller.signal });
      // A host that ignores the range starts at the beginning.
      const flags = have > 0 && response.status === 206 ? "a" : "w";
      const body = Readable.fromWeb(response.body);
      body.on("data", listen);
      await pipeline(body, createWriteStream(part, { flags }));
    } finally {
      clearTimeout(timer);
    }
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function json(hub, url, name) {
  const attempt = async () => {
    const response = await ask(hub, url, name, { signal: AbortSignal.timeout(SILENCE_MS) });
    return { body: await response.json(), link: response.headers.get("Link") };
  };
  for (let failures = 1; ; failures += 1)
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof Refused) throw error;
      if (failures >= ATTEMPTS)
        throw new Refused(`${hub.endpoint} cannot be reached: ${error.cause?.message ?? error.message}.`);
      await (hub.wait ?? pause)(1000 * 2 ** failures);
    }
}

/** An answer with a body; an error that a retry would not change is Refused. `fetch` sends the token to the hub's origin only. */
async function ask({ endpoint, token }, url, name, { headers = {}, signal }) {
  const authorization = token && url.startsWith(`${endpoint}/`) ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(url, { headers: { ...headers, ...authorization }, signal });
  if (response.ok) return response;
  await response.body?.cancel();
  const { status } = response;
  if (status === 401 || status === 403)
    throw new Refused(
      `${name} does not exist, is private or gated (HTTP ${status}). Set HF_TOKEN to a token that may read it.`,
    );
  if (status === 404) throw new Refused(`There is no ${name}, or no such revision or file (HTTP 404).`);
  throw new Error(`HTTP ${status}`);
}

async function hashOf(algorithm, path, before = "") {
  const hash = createHash(algorithm).update(before);
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
