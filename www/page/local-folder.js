// Local files as a model's folder. The engine reads models by range requests; for addresses below local/ the page's
// service worker answers these with slices of the files, which the page sends it. So a model of any size is read from
// disk as it would be from a host, and nothing is copied first.

/** A file and its path in the folder, or its name. @typedef {{ path: string, file: File }} Entry */

const FOLDER = /(^|\/)local\/~[0-9a-z]+~[^/]*\/?$/;

/** Whether a model's name or id is that of a local folder. @param {string | null | undefined} name */
export function isLocal(name) {
  return FOLDER.test(name ?? "");
}

/**
 * What to do about an error of the model `name`, if that is specific to local folders; else null.
 * @param {{ code: string }} error
 * @param {string | null} name
 */
export function remedyFor({ code }, name) {
  return code === "network" && isLocal(name)
    ? "This model's files are on this device: choose the folder again under Model."
    : null;
}

/** The folder's name on this device. `segment`: the last segment of its address. @param {string} segment */
export function localName(segment) {
  const encoded = segment.replace(/^~[0-9a-z]+~/, "");
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}

/**
 * A folder of these files. `address` is the same for the same files, so that what was made from them is found again.
 * `problem` says why they are not a model.
 * @param {Entry[]} entries
 */
export function localFolder(entries) {
  const paths = entries.map(({ path }) => path);
  const top = paths.every((path) => path.includes("/")) ? paths[0]?.split("/")[0] : "";
  const shared = top && paths.every((path) => path.startsWith(`${top}/`));
  const files = new Map(entries.map(({ path, file }) => [shared ? path.slice(top.length + 1) : path, file]));
  // A single weights file is accepted, whatever its name.
  for (const [ending, wanted] of [
    [".safetensors", "model.safetensors"],
    [".bin", "pytorch_model.bin"],
  ]) {
    const found = [...files.keys()].filter((path) => path.endsWith(ending));
    const only = found.length === 1 ? files.get(found[0]) : undefined;
    if (only && !files.has(wanted)) files.set(wanted, only);
  }
  const hasWeights =
    files.has("model.safetensors") || files.has("model.safetensors.index.json") || files.has("pytorch_model.bin");
  const name = (shared && top) || entries.find(({ path }) => /\.(safetensors|bin)$/.test(path))?.path || "model";
  const fingerprint = [...files]
    .map(([path, file]) => `${path}|${file.size}|${file.lastModified}`)
    .sort()
    .join("\n");
  return {
    files,
    address: `./local/~${hash(fingerprint)}~${encodeURIComponent(name)}/`,
    problem: hasWeights ? null : "There is neither a model.safetensors nor a pytorch_model.bin among these files.",
  };
}

/**
 * The answer to a request for a file.
 * @param {ReadonlyMap<string, Blob>} files by path
 * @param {string} path
 * @param {string | null} range the request's header
 * @returns {{ status: number, blob?: Blob, range?: string }}
 */
export function answer(files, path, range) {
  const file = files.get(path);
  if (!file) return { status: 404 };
  const asked = /^bytes=(\d+)-(\d*)$/.exec(range ?? "");
  if (!asked) return { status: 200, blob: file };
  const start = Number(asked[1]);
  const end = Math.min(asked[2] === "" ? Infinity : Number(asked[2]), file.size - 1);
  if (start > end) return { status: 416, range: `bytes */${file.size}` };
  return { status: 206, blob: file.slice(start, end + 1), range: `bytes ${start}-${end}/${file.size}` };
}

/** 64-bit FNV-1a, to tell folders apart; not for security. @param {string} text */
function hash(text) {
  let value = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text))
    value = BigInt.asUintN(64, (value ^ BigInt(byte)) * 0x100000001b3n);
  return value.toString(36);
}
