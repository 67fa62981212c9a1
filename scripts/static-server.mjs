// A static file server: correct media types, 404 for missing files, single ranges, CORS.
//
//     node scripts/static-server.mjs FOLDER [--port N] [--host ADDRESS]

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";
import { fileURLToPath } from "node:url";

const TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".ts": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
};

/**
 * `mounts`: folders by the path under which they appear; the longest match counts. `onRequest` may answer by itself, or
 * never: then it returns true.
 */
export function serve(mounts, { port = 0, host = "127.0.0.1", onRequest = () => {} } = {}) {
  const prefixes = Object.keys(mounts).sort((a, b) => b.length - a.length);
  const server = createServer((request, response) => {
    if (onRequest(request, response) === true) return;
    answer(request, response).catch(() => {
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });

  async function answer(request, response) {
    const headers = { "Access-Control-Allow-Origin": "*", "Cache-Control": "no-cache" };
    let path;
    try {
      path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    } catch {
      path = "\0";
    }
    const prefix = prefixes.find((p) => path.startsWith(p));
    let file = prefix === undefined ? null : join(mounts[prefix], normalize(`/${path.slice(prefix.length)}`));
    if (file?.endsWith(sep)) file += "index.html";
    const info = file && !path.includes("\0") ? await stat(file).catch(() => null) : null;
    if (!info?.isFile() || !["GET", "HEAD"].includes(request.method)) {
      response.writeHead(info?.isFile() ? 405 : 404, headers);
      response.end();
      return;
    }
    headers["Content-Type"] = TYPES[extname(file)] ?? "application/octet-stream";
    headers["Accept-Ranges"] = "bytes";
    let [start, end, status] = [0, info.size - 1, 200];
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    if (range) {
      start = Number(range[1]);
      end = Math.min(range[2] === "" ? end : Number(range[2]), end);
      if (start > end) {
        response.writeHead(416, { ...headers, "Content-Range": `bytes */${info.size}` });
        response.end();
        return;
      }
      status = 206;
      headers["Content-Range"] = `bytes ${start}-${end}/${info.size}`;
    }
    headers["Content-Length"] = Math.max(0, end - start + 1);
    response.writeHead(status, headers);
    if (request.method === "HEAD" || info.size === 0) response.end();
    else createReadStream(file, { start, end }).pipe(response);
  }

  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      resolve({
        origin: `http://${host}:${server.address().port}`,
        close: () => {
          server.closeAllConnections();
          return new Promise((done) => server.close(done));
        },
      });
    });
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder, ...rest] = process.argv.slice(2);
  const option = (name, fallback) => (rest.includes(name) ? rest[rest.indexOf(name) + 1] : fallback);
  const port = Number(option("--port", "8080"));
  if (!folder || !Number.isInteger(port) || port < 0 || port > 65535) {
    console.error("usage: static-server.mjs FOLDER [--port N] [--host ADDRESS]");
    process.exit(2);
  }
  try {
    const { origin } = await serve({ "/": folder }, { port, host: option("--host", "127.0.0.1") });
    console.log(`${origin}/`);
  } catch (error) {
    console.error(error.code === "EADDRINUSE" ? `Port ${port} is taken; choose another with --port.` : String(error));
    process.exit(1);
  }
}
