// A hub to test against, which answers like the real one in 2026: the API, redirects of small files to a cache
// of its own and of large ones to signed addresses on another origin, the headers that pages may see, a bare 401 for what
// it does not have, an HTML page for clients that ask too often; and faults on demand.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { once } from "node:events";

const LARGE = 1 << 20;
/** The headers that pages may see: neither Retry-After nor RateLimit. */
const EXPOSED =
  "X-Repo-Commit, X-Request-Id, X-Error-Code, X-Error-Message, X-Total-Count, ETag, Link, Accept-Ranges, " +
  "Content-Range, X-Linked-Size, X-Linked-ETag, X-Xet-Hash";
/** The same for a static host. */
const EXPOSED_BY_HOSTS = "ETag";
const sha1 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha1")).digest("hex");

/**
 * Starts a hub.
 *
 * `repositories`: by "owner/name", `{ files: { path: Buffer | file path }, token?, gated?, hashes?, sizes? }`, where `hashes`
 * replaces the reported SHA-256 of a file, and `sizes` its reported size. A fault is `{ kind, match?, server?, times?, … }`; see `body`.
 */
export async function startHub(repositories, { plain = false, exposeRange = true, exposeRetryAfter = false } = {}) {
  const hub = {
    repositories,
    faults: [],
    /** `{ server, path, range, status, bytes }` of every answer. */
    requests: [],
    /** What a real CDN or a careful reviewer would object to. */
    violations: [],
    /** Every token that was received. */
    tokens: new Set(),
    gate: null,
    /** How requests for missing files are answered: a status, or "opaque" for an answer without CORS headers. */
    missing: null,
    /** Part of every ETag. */
    version: 1,
  };
  let signature = 1;
  // A hub knows the hash of a file of gigabytes before anyone asks.
  for (const repository of Object.values(repositories))
    for (const path of Object.keys(repository.files)) {
      const file = await fileOf(repository, path);
      if (file.size >= LARGE && !repository.hashes?.[path]) await sha256(file);
    }
  const api = await listen((request, response) => answerHub(request, response));
  const cdn = await listen((request, response) => answerCdn(request, response));
  hub.endpoint = api.origin;
  hub.cdn = cdn.origin;
  /** Body bytes sent for files whose path ends like this. */
  hub.sent = (suffix = "") => hub.requests.filter((r) => r.path.endsWith(suffix)).reduce((n, r) => n + r.bytes, 0);
  /** Addresses that were signed so far become invalid. */
  hub.expire = () => (signature += 1);
  /** Lets about `bytes` more through and holds the rest back; resolves when that is done. */
  hub.holdAfter = (bytes) => {
    let reached;
    const held = new Promise((resolve) => (reached = resolve));
    let release;
    const open = new Promise((resolve) => (release = resolve));
    hub.gate = { left: bytes, reached, open };
    hub.release = () => {
      hub.gate = null;
      release();
    };
    /** Drops what was held back: its clients are gone. */
    hub.hangUp = () => {
      hub.gate.cut = true;
      hub.release();
    };
    return held;
  };
  hub.close = () => {
    hub.release?.();
    return Promise.all([api.close(), cdn.close()]);
  };
  /** The address of a repository's files, in the form of a folder on a static host. */
  hub.folder = (name) => `${api.origin}/${name}/resolve/main/`;
  return hub;

  function note(server, request, url) {
    const entry = {
      server,
      path: decodeURIComponent(url.pathname),
      range: request.headers.range ?? null,
      status: 0,
      bytes: 0,
    };
    hub.requests.push(entry);
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1];
    if (token) hub.tokens.add(token);
    for (const repository of Object.values(repositories)) {
      if (repository.token && request.url.includes(repository.token)) hub.violations.push(`token in ${request.url}`);
    }
    const range = entry.range;
    if (range && !/^bytes=\d+-\d*$/.test(range)) hub.violations.push(`range ${range}`);
    if (server === "cdn" && token) hub.violations.push("token sent to the CDN");
    return { entry, token };
  }

  async function answerHub(request, response) {
    const url = new URL(request.url, api.origin);
    const headers = {
      "Access-Control-Allow-Origin": "*",
      "Access-Control-Expose-Headers": plain ? EXPOSED_BY_HOSTS : EXPOSED,
    };
    if (request.method === "OPTIONS") {
      const allowed = {
        "Access-Control-Allow-Headers": "Authorization, Range",
        "Access-Control-Allow-Methods": "GET, HEAD",
      };
      return end(response, 204, { ...headers, ...allowed });
    }
    const { entry, token } = note("hub", request, url);
    const called = /^\/api\/models\/([^/]+\/[^/]+)\/(revision|tree)\/([^/]+)$/.exec(url.pathname);
    const cached = /^\/api\/resolve-cache\/models\/([^/]+\/[^/]+)\/([^/]+)\/(.+)$/.exec(url.pathname);
    const resolved = cached ?? /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname);
    const name = (called ?? resolved)?.[1];
    const repository = repositories[name] ?? (plain ? { files: {} } : undefined);
    const file = resolved && (await fileOf(repository, decodeURIComponent(resolved[3])));
    // A file of the hub's own is sent by its cache, and so the fault happens there.
    const isSentHere = plain || cached;
    const fault = take("hub", entry, (f) => f.kind === "status" || isSentHere);
    if (fault?.kind === "status") return fail(response, entry, headers, fault);
    const refuse = (status, code, message = "") => {
      entry.status = status;
      const more = { ...(code && { "X-Error-Code": code }), ...(message && { "X-Error-Message": message }) };
      const type = { "Content-Type": "application/json; charset=utf-8" };
      return end(response, status, { ...headers, ...more, ...type }, JSON.stringify({ error: message }));
    };
    if ((!called && !resolved) || (plain && called)) return refuse(404);
    if (!plain && token && !Object.values(repositories).some((known) => known.token === token))
      return refuse(401, undefined, "Invalid credentials in Authorization header");
    if (!repository || (repository.token && !repository.gated && repository.token !== token))
      return token
        ? refuse(404, "RepoNotFound", "Repository not found")
        : refuse(401, undefined, "Invalid username or password.");
    // A gated repository shows what it has, but does not serve it.
    if (repository.gated && resolved && token !== repository.token)
      return refuse(token ? 403 : 401, "GatedRepo", `Access to model ${name} is restricted.`);
    const commit = repository.commit ?? sha1(name);
    const revision = decodeURIComponent(called ? called[3] : resolved[2]);
    if (![commit, "main", ...(repository.branches ?? [])].includes(revision)) return refuse(404, "RevisionNotFound");
    if (called?.[2] === "tree" && hub.hasNoTree) return refuse(404);
    if (called?.[2] === "revision") return json(response, entry, headers, { id: name, sha: commit });
    if (called) return tree(response, entry, headers, repository, url);
    if (!file && hub.missing === "opaque") return end(response, 404, {}); // the page may not see even that
    if (!file) return hub.missing ? refuse(hub.missing) : refuse(404, plain ? undefined : "EntryNotFound");
    if (isSentHere) return body(request, response, entry, headers, file, fault);
    const isLarge = file.size >= LARGE;
    entry.status = isLarge ? 302 : 307;
    const Location = isLarge
      ? `${cdn.origin}/${name}/${resolved[3]}?signature=${signature}`
      : `/api/resolve-cache/models/${name}/${commit}/${resolved[3]}`;
    const linked = isLarge ? { "X-Linked-Size": file.size, "X-Linked-ETag": `"${sha1(resolved[3])}"` } : {};
    return end(response, entry.status, { ...headers, ...linked, "X-Repo-Commit": commit, Location });
  }

  async function answerCdn(request, response) {
    const url = new URL(request.url, cdn.origin);
    if (request.method === "OPTIONS") {
      hub.violations.push(`preflight of ${url.pathname}`);
      return end(response, 403, {});
    }
    const { entry } = note("cdn", request, url);
    const headers = { "Access-Control-Allow-Origin": "*" };
    if (exposeRange) headers["Access-Control-Expose-Headers"] = "*";
    const fault = take("cdn", entry);
    if (fault?.kind === "status") return fail(response, entry, headers, fault);
    if (Number(url.searchParams.get("signature")) !== signature) {
      entry.status = 403;
      return end(response, 403, hub.opaqueExpiry ? {} : headers, "expired");
    }
    const [, owner, name, path] = /^\/([^/]+)\/([^/]+)\/(.+)$/.exec(url.pathname);
    const file = await fileOf(repositories[`${owner}/${name}`], decodeURIComponent(path));
    return body(request, response, entry, headers, file, fault);
  }

  function take(server, entry, suits = () => true) {
    const fits = (f) =>
      (f.server ?? "cdn") === server &&
      (f.match ?? /./).test(entry.path) &&
      (f.times ?? 1) > 0 &&
      suits(f) &&
      (!f.only || holds(entry.range, f.at));
    const fault = hub.faults.find(fits);
    if (fault) fault.times = (fault.times ?? 1) - 1;
    return fault;
  }

  function fail(response, entry, headers, { status, code, retryAfter }) {
    entry.status = status;
    const more = {
      ...(code && { "X-Error-Code": code }),
      ...(retryAfter !== undefined && { "Retry-After": retryAfter }),
    };
    if (exposeRetryAfter) headers["Access-Control-Expose-Headers"] = `${EXPOSED}, Retry-After`;
    if (status !== 429) return end(response, status, { ...headers, ...more }, "fault");
    const limit = { "Content-Type": "text/html; charset=utf-8" };
    if (entry.server === "hub") limit.RateLimit = '"resolvers";r=0;t=300'; // which no page may see
    return end(response, status, { ...headers, ...limit, ...more }, "<!DOCTYPE html><h1>429</h1>");
  }

  function json(response, entry, headers, value) {
    entry.status = 200;
    return end(response, 200, { ...headers, "Content-Type": "application/json" }, JSON.stringify(value));
  }

  /** Pages of three entries, so that every repository has more than one. */
  async function tree(response, entry, headers, repository, url) {
    const paths = Object.keys(repository.files);
    const from = Number(url.searchParams.get("cursor") ?? 0);
    const page = await Promise.all(
      paths.slice(from, from + 3).map(async (path) => {
        const file = await fileOf(repository, path);
        const size = repository.sizes?.[path] ?? file.size;
        if (file.size >= LARGE || size >= LARGE) {
          const oid = repository.hashes?.[path] ?? (await sha256(file));
          return {
            type: "file",
            path,
            size,
            oid: sha1(path),
            lfs: { oid, size, pointerSize: 134 },
          };
        }
        const bytes = await whole(file);
        return {
          type: "file",
          path,
          size: file.size,
          oid: repository.hashes?.[path] ?? sha1(`blob ${bytes.length}\0`, bytes),
        };
      }),
    );
    if (from + 3 < paths.length) {
      headers.Link = `<${api.origin}${url.pathname}?recursive=true&cursor=${from + 3}>; rel="next"`;
    }
    return json(response, entry, headers, page);
  }

  /**
   * Sends a file or a range of it, with a fault: `cut` after `after` bytes, `stall` after `after` bytes, `corrupt` the
   * byte `at` of the file (`only`: the fault waits for an answer that holds it), `short` by `less` bytes without an error, `long` by some, `no-range`, `wrong-range`, `html`,
   * `slow` to `rate` bytes per second, `trickle`: a byte each `every` milliseconds, `endless`: `first`, then zeros.
   */
  async function body(request, response, entry, headers, file, fault) {
    if (fault?.kind === "html") {
      entry.status = 200;
      return end(response, 200, { ...headers, "Content-Type": "text/html; charset=utf-8" }, "<!doctype html><p>Hello");
    }
    if (["trickle", "endless"].includes(fault?.kind)) {
      entry.status = 200;
      response.writeHead(200, { ...headers, "Content-Type": "application/octet-stream" });
      return pour(response, entry, fault);
    }
    let [from, to, status] = [0, file.size - 1, 200];
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    if (range && fault?.kind !== "no-range" && !hub.ignoresRanges) {
      [from, to, status] = [Number(range[1]), Math.min(Number(range[2] || to), to), 206];
      if (from > to) {
        entry.status = 416;
        return end(response, 416, { ...headers, "Content-Range": `bytes */${file.size}` });
      }
      if (fault?.kind === "wrong-range") [from, to] = [from + 1, Math.min(to + 1, file.size - 1)];
      headers["Content-Range"] = `bytes ${from}-${to}/${file.size}`;
    }
    let length = to - from + 1;
    if (fault?.kind === "short") length = Math.max(0, length - fault.less);
    if (!["short", "long"].includes(fault?.kind)) headers["Content-Length"] = length;
    entry.status = status;
    response.writeHead(status, {
      ...headers,
      "Content-Type": "application/octet-stream",
      ETag: `"${file.size}-${hub.version}"`,
    });
    const closed = once(response, "close");
    let position = from;
    for await (let piece of read(file, from, from + length)) {
      if (fault?.kind === "corrupt" && position <= fault.at && fault.at < position + piece.length) {
        piece = Buffer.from(piece);
        piece[fault.at - position] ^= 0x10;
      }
      const limited = ["cut", "stall"].includes(fault?.kind) ? fault.after - (position - from) : Infinity;
      const part = piece.subarray(0, Math.max(0, Math.min(piece.length, limited)));
      const { gate } = hub;
      if (gate) {
        gate.left -= part.length;
        if (gate.left < 0) {
          gate.reached();
          await Promise.race([gate.open, closed]);
          if (gate.cut) response.destroy();
        }
      }
      if (response.destroyed) return;
      entry.bytes += part.length;
      position += part.length;
      if (!response.write(part))
        await Promise.race([new Promise((resolve) => response.once("drain", resolve)), closed]);
      if (limited <= piece.length) {
        if (fault.kind === "cut") response.destroy();
        return; // stalled for ever, or until the client goes away
      }
      if (fault?.kind === "slow")
        await new Promise((resolve) => setTimeout(resolve, (part.length / fault.rate) * 1000));
    }
    if (fault?.kind === "long") response.write(Buffer.alloc(1000));
    response.end();
  }
}

/** Sends endlessly, until the client goes away. */
async function pour(response, entry, { kind, every, first = Buffer.alloc(0) }) {
  const closed = once(response, "close");
  const send = (bytes) => {
    entry.bytes += bytes.length;
    return response.write(bytes);
  };
  send(first);
  while (!response.destroyed) {
    const isTaken = send(Buffer.alloc(kind === "trickle" ? 1 : 1 << 16));
    if (kind === "trickle") await new Promise((resolve) => setTimeout(resolve, every));
    else if (!isTaken) await Promise.race([new Promise((resolve) => response.once("drain", resolve)), closed]);
  }
}

function holds(range, at) {
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(range ?? "bytes=0-");
  return Number(from) <= at && (to === "" || at <= Number(to));
}

async function listen(answer) {
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    close() {
      server.closeAllConnections();
      return new Promise((done) => server.close(done));
    },
  };
}

function end(response, status, headers, text = "") {
  response.writeHead(status, headers);
  response.end(text);
}

async function fileOf(repository, path) {
  const source = repository?.files[path];
  if (source === undefined) return null;
  if (Buffer.isBuffer(source)) return { source, size: source.length };
  return { source, size: (await stat(source)).size };
}

async function* read({ source }, from, to) {
  const step = 1 << 16;
  if (Buffer.isBuffer(source)) {
    for (let at = from; at < to; at += step) yield source.subarray(at, Math.min(to, at + step));
  } else if (to > from) {
    yield* createReadStream(source, { start: from, end: to - 1, highWaterMark: step });
  }
}

async function whole(file) {
  const pieces = [];
  for await (const piece of read(file, 0, file.size)) pieces.push(piece);
  return Buffer.concat(pieces);
}

const hashes = new Map();

async function sha256(file) {
  if (hashes.has(file.source)) return hashes.get(file.source);
  const hash = createHash("sha256");
  for await (const piece of read(file, 0, file.size)) hash.update(piece);
  hashes.set(file.source, hash.digest("hex"));
  return hashes.get(file.source);
}
