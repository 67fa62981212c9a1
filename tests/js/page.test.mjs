// The parts of the page that need no document: addresses, memory, folders on this device.

import assert from "node:assert/strict";
import { test } from "node:test";
import { EMBEDDED } from "../../www/lib/embedded.js";
import { ownAddress } from "../../www/page/bench/address.js";
import { ContextMeter, contextInWords } from "../../www/page/context-meter.js";
import { answer, isLocal, localFolder, localName, remedyFor } from "../../www/page/local-folder.js";
import { describeModel } from "../../www/page/model-names.js";
import { OFFERED, PUBLISHED, size, whyNot, withQuantized } from "../../www/page/published.js";
import { TO_ATTRIBUTE, TO_TEXT } from "../../www/page/setting-texts.js";
import { fromHash, LINKED, missingInWords, toHash } from "../../www/page/address.js";
import { fromStorage, readAttributes } from "../../www/page/memory.js";
import { bindToken } from "../../www/page/token-binding.js";

const element = (attributes) => ({ getAttribute: (name) => attributes[name] ?? null });
const defaults = readAttributes(element({ temperature: "0.8", "top-p": "0.92", token: "hf_secret", prompt: "x" }));
class FakeNode {
  attributes = {};
  style = { setProperty() {} };
  textContent = "";
  setAttribute(name, value) {
    this.attributes[name] = value;
  }
}
/** Waits for the effects of timers. */
async function until(isSo) {
  for (let i = 0; i < 1000 && !isSo(); i++) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.ok(isSo());
}
const file = (size, lastModified = 1) =>
  Object.assign(new Blob([new Uint8Array(size).map((_, i) => i)]), { lastModified });

test("an address tells what differs, and nothing secret", () => {
  assert.equal(toHash(defaults, defaults, ""), "");
  const changed = { ...defaults, temperature: "1", seed: "7", stop: '["\\n"]', token: "hf_secret" };
  const hash = toHash(changed, defaults, "Once & “twice” #3\n");
  assert.ok(!hash.includes("secret"));
  const { attributes, beginning } = fromHash(hash, defaults);
  assert.deepEqual(
    [attributes.temperature, attributes.seed, attributes.stop, attributes["top-p"], beginning],
    ["1", "7", '["\\n"]', "0.92", "Once & “twice” #3\n"],
  );
  assert.equal(toHash(defaults, defaults, "x".repeat(3000)), "", "a whole book is no address");
});

test("an address that tells nothing known is none, and what it may not tell is left out", () => {
  for (const hash of ["", "#", "#section", "#model=", "#onclick=alert(1)&token=hf_x&autoload="])
    assert.equal(fromHash(hash, defaults), null, hash);
  const { attributes } = fromHash("#seed=1&token=hf_x&autoload=&onclick=1", defaults);
  assert.deepEqual(Object.keys(attributes), [...LINKED]);
  assert.equal(fromHash("#seed=1&model=", defaults).attributes.model, null);
  assert.ok(!("token" in attributes) && !("autoload" in attributes) && !("prompt" in attributes));
  // A setting without a row in a panel could not be changed back.
  assert.equal(fromHash('#overflow=stop&banned=["the"]&keep=9', defaults), null);
});

test("the context's meter says how much of the text the model sees", () => {
  assert.equal(contextInWords({ used: 300, seen: 300, total: 1024 }), "300 of 1,024 tokens");
  assert.equal(contextInWords({ used: 5000, seen: 700, total: 1024 }), "5,000 tokens; the model sees the last 700");
});

test("the context's meter follows a text that slides", async () => {
  const nodes = Object.fromEntries(["context", "context-words", "context-meter"].map((id) => [id, new FakeNode()]));
  Object.assign(globalThis, { document: { getElementById: (id) => nodes[id] }, HTMLElement: FakeNode });
  try {
    const element = Object.assign(new EventTarget(), { text: "a b c", getAttribute: () => "slide" });
    element.model = { encode: async (text) => text.split(" ") };
    new ContextMeter(element);
    const tell = (type, detail) => element.dispatchEvent(Object.assign(new Event(type), { detail }));
    tell("load", { info: { contextLength: 8 } });
    await until(() => nodes["context-words"].textContent === "3 of 8 tokens");
    const seen = [];
    for (let i = 0; i < 11; i++) {
      tell("token");
      seen.push(nodes["context-meter"].attributes["aria-valuenow"]);
    }
    // At 8 tokens the newest 4 are read again.
    assert.deepEqual(seen, [4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6].map(String));
    assert.equal(nodes["context-words"].textContent, "14 tokens; the model sees the last 6");
    tell("done", { usage: { promptTokens: 3, completionTokens: 11 } });
    assert.equal(nodes["context-words"].textContent, "14 tokens; the model sees the last 6");
  } finally {
    delete globalThis.document;
  }
});

test("what the visitor emptied is empty for whoever opens the link, too", () => {
  const hash = toHash({ ...defaults, "top-p": null, "token-view": "" }, defaults, "");
  const { attributes } = fromHash(hash, defaults);
  assert.deepEqual([attributes["top-p"], attributes["token-view"], attributes.temperature], [null, "", "0.8"]);
});

test("an address chooses neither the hub nor a model of somebody's computer, and tells of neither", () => {
  const { address } = localFolder([{ path: "m/model.safetensors", file: file(1) }]);
  const changed = { ...defaults, endpoint: "https://hub.example", model: address };
  assert.equal(toHash(changed, defaults, ""), "");
  assert.equal(fromHash("#endpoint=https://hub.example", defaults), null);
  const { attributes } = fromHash(
    `#seed=1&endpoint=https://hub.example&${new URLSearchParams({ model: address })}`,
    defaults,
  );
  assert.deepEqual([attributes.seed, "endpoint" in attributes, attributes.model], ["1", false, null]);
  // The browser stores both.
  const kept = fromStorage(JSON.stringify({ version: 1, attributes: changed }), defaults);
  assert.deepEqual([kept.attributes.endpoint, kept.attributes.model], ["https://hub.example", address]);
});

test("what a link does not hold is said", () => {
  const own = (text) => [
    { text, written: false },
    { text: "!", written: true },
  ];
  const local = { ...defaults, model: "./local/~1a~m/" };
  const missing = (passages, attributes) => missingInWords(passages, attributes, defaults);
  assert.equal(missing(own("Once"), defaults), "");
  assert.match(missing(own("x".repeat(3000)), defaults), /^the beginning, which is too long/);
  assert.match(missing([], defaults), /^a beginning/);
  assert.match(
    missing([{ text: "a", written: true }], local),
    /^a beginning.*; the model, which is only on this device$/,
  );
  assert.equal(missing(own("Once"), { ...defaults, endpoint: "https://hub.example" }), "the hub's address");
});

test("the benchmark's page is sent to no other origin", () => {
  const page = "https://site.example/app/bench.html?run=1";
  const own = {
    "/report/3": "https://site.example/report/3",
    "oracle/tiny/": "https://site.example/app/oracle/tiny/",
    "https://site.example/x": "https://site.example/x",
  };
  for (const [text, address] of Object.entries(own)) assert.equal(ownAddress(text, page), address);
  for (const text of [
    "https://other.example/",
    "//other.example/x",
    "http://site.example/",
    "\\\\other.example/x",
    "data:text/plain,x",
    "javascript:0",
    "https://",
  ]) {
    assert.throws(() => ownAddress(text, page), /is not an address of this site/, text);
  }
});

test("stop texts and biases survive being typed", () => {
  for (const stops of [
    ["\n\n", "THE END"],
    ["a|b", "|"],
    ["\\", "\\n", "\\|"],
    [" x ", "  "],
    ["\t", "\r\n"],
    ["a | b\\"],
  ]) {
    const typed = TO_TEXT.stop(JSON.stringify(stops));
    assert.ok(!/[\n\r]/.test(typed), typed);
    assert.deepEqual(JSON.parse(TO_ATTRIBUTE.stop(typed)), stops, typed);
  }
  assert.equal(TO_ATTRIBUTE.stop(" THE END |  | "), '["THE END"]');
  assert.deepEqual(
    [TO_ATTRIBUTE.stop(" | "), TO_TEXT.stop("{"), TO_TEXT.stop(null), TO_TEXT.logitBias("5")],
    [null, "", "", ""],
  );
  const biases = '{"11":-5,"42":1e-7}';
  assert.equal(TO_ATTRIBUTE.logitBias(TO_TEXT.logitBias(biases)), biases);
  assert.throws(() => TO_ATTRIBUTE.logitBias("11 = 2"), /“11 = 2”/);
});

test("a small copy of a published model is offered above it, with what it downloads", () => {
  const [first, second] = PUBLISHED;
  const small = { name: "o/TokenFormer-450M-q4", download: 283e6 };
  const offered = withQuantized([first, second], { [second.name]: small });
  assert.deepEqual(
    offered.map(({ name, label, download }) => [name, label, size(download)]),
    [
      [first.name, first.label, "608 MB"],
      [small.name, "TokenFormer 450M, 4-bit", "283 MB"],
      [second.name, second.label, "1.82 GB"],
    ],
  );
  assert.equal(offered[1].count, second.count);
  assert.deepEqual(
    OFFERED.filter(({ name }) => PUBLISHED.some((model) => model.name === name)),
    PUBLISHED,
    "what is published stays",
  );
  for (const { download, kept } of OFFERED) assert.ok(download > 0 && kept > 0);
});

test("a memory that is not as it was written does no harm", () => {
  for (const text of ["", "{", "null", "5", "[]", '{"version":2}'])
    assert.equal(fromStorage(text, defaults), null, text);
  const kept = fromStorage(
    JSON.stringify({
      version: 1,
      attributes: { temperature: 5, seed: "3", "top-p": null, bad: "x" },
      passages: [{ text: 5 }, null, { text: "a", written: true }],
    }),
    defaults,
  );
  assert.deepEqual(
    [kept.attributes.temperature, kept.attributes.seed, kept.attributes["top-p"], "bad" in kept.attributes],
    ["0.8", "3", null, false],
  );
  assert.deepEqual(kept.passages, [{ text: "a", written: true }]);
  assert.deepEqual(fromStorage('{"version":1}', defaults).passages, []);
});

test("a folder of this computer has an address that names its contents", () => {
  const entries = [
    ["my model/config.json", 3],
    ["my model/model.safetensors", 9],
  ].map(([path, bytes]) => ({ path, file: file(bytes) }));
  const folder = localFolder(entries);
  assert.equal(folder.problem, null);
  assert.deepEqual([...folder.files.keys()], ["config.json", "model.safetensors"]);
  assert.match(folder.address, /^\.\/local\/~[0-9a-z]+~my%20model\/$/);
  assert.equal(localFolder(entries.toReversed()).address, folder.address);
  assert.notEqual(
    localFolder([entries[0], { path: "my model/model.safetensors", file: file(9, 2) }]).address,
    folder.address,
  );
  const id = new URL(folder.address, "https://site.example/page/").href;
  assert.ok(isLocal(folder.address) && isLocal(id) && !isLocal("local/x") && !isLocal("o/n") && !isLocal(null));
  assert.equal(localName(id.split("/").at(-2)), "my model");
  assert.match(remedyFor({ code: "network" }, folder.address), /choose the folder again/);
  assert.deepEqual(
    [
      remedyFor({ code: "quota" }, folder.address),
      remedyFor({ code: "network" }, "o/n"),
      remedyFor({ code: "network" }, null),
    ],
    [null, null, null],
  );
});

test("one file of weights is meant, whatever it is called; without any there is no model", () => {
  const folder = localFolder([{ path: "story.bin", file: file(4) }]);
  assert.ok(folder.files.has("pytorch_model.bin") && folder.problem === null);
  assert.match(localFolder([{ path: "a.txt", file: file(1) }]).problem, /neither/);
  assert.match(localFolder([]).problem, /neither/);
});

test("files are answered whole, in ranges, or not at all", async () => {
  const { files } = localFolder([{ path: "model.safetensors", file: file(10) }]);
  const bytes = async ({ blob }) => Array.from(new Uint8Array(await blob.arrayBuffer()));
  const ranged = answer(files, "model.safetensors", "bytes=2-4");
  assert.deepEqual([ranged.status, ranged.range, await bytes(ranged)], [206, "bytes 2-4/10", [2, 3, 4]]);
  assert.deepEqual(await bytes(answer(files, "model.safetensors", "bytes=8-99")), [8, 9]);
  assert.equal((await bytes(answer(files, "model.safetensors", null))).length, 10);
  assert.equal(answer(files, "model.safetensors", "bytes=10-").status, 416);
  assert.equal(answer(files, "config.json", null).status, 404);
});

test("sizes in words", () => {
  assert.deepEqual([500, 31e6, 608e6, 999.6e6, 1.82e9, 6.35e9].map(size), [
    "1 kB",
    "31 MB",
    "608 MB",
    "1.00 GB",
    "1.82 GB",
    "6.35 GB",
  ]);
  assert.ok(PUBLISHED.every(({ download, kept }) => kept < download / 5));
});

test("a model's host is told whatever its address says, and its name shows what it is", () => {
  globalThis.document = { baseURI: "https://site.example/app/" };
  const told = (name, endpoint) => Object.values(describeModel(name, endpoint)).join(" | ");
  try {
    assert.deepEqual(
      [
        [null],
        [null, "https://hub.example"],
        ["Haiyang-W/TokenFormer-150M"],
        ["Haiyang-W/TokenFormer-150M", "https://hub.example:8443/"],
        ["someone/A-model"],
        [`https://evil.example/x/${EMBEDDED.label.replace(" ", "\u00a0").replaceAll(" ", "%C2%A0")}`],
        ["https://evil.example/%E2%80%AEM83%20skoob%E2%80%8B/"],
        ["https://huggingface.co.evil.example/"],
        ["./models/mine"],
        ["//other.example/m"],
        ["./local/~1a~my%20model/"],
        ["https://a.example/%E0%A4%A"],
      ].map((given) => told(...given)),
      [
        `${EMBEDDED.label} | `,
        `${EMBEDDED.label} | `,
        "TokenFormer 150M | huggingface.co",
        "TokenFormer 150M | hub.example:8443",
        "someone/A-model | huggingface.co",
        `${EMBEDDED.label} | evil.example`,
        "M83 skoob | evil.example",
        "huggingface.co.evil.example | huggingface.co.evil.example",
        "mine | site.example",
        "m | other.example",
        "my model | this device",
        "%E0%A4%A | a.example",
      ],
    );
  } finally {
    delete globalThis.document;
    delete globalThis.HTMLElement;
  }
});

test("models that take a GPU are told from those that do not", () => {
  const without = PUBLISHED.filter((model) => whyNot(model, false) === "").map(({ label }) => label);
  assert.deepEqual(without, ["TokenFormer 150M"]);
  for (const hasGpu of [true, null]) assert.ok(PUBLISHED.every((model) => whyNot(model, hasGpu) === ""));
});

test("a token is given up when its hub is changed, and only then", () => {
  const attributes = { token: null, endpoint: null };
  let changed;
  const real = globalThis.MutationObserver;
  globalThis.MutationObserver = class {
    constructor(callback) {
      changed = (...names) => callback(names.map((attributeName) => ({ attributeName })));
    }
    observe() {}
  };
  const holder = {
    getAttribute: (name) => attributes[name],
    hasAttribute: (name) => attributes[name] !== null,
    removeAttribute: (name) => (attributes[name] = null),
  };
  let removed = 0;
  bindToken(holder, () => (removed += 1));
  globalThis.MutationObserver = real;
  const set = (name, value) => {
    attributes[name] = value;
    changed(name);
    return attributes.token;
  };
  assert.equal(set("token", "hf_a"), "hf_a");
  assert.equal(set("endpoint", "https://huggingface.co/"), "hf_a", "the same hub by another spelling");
  assert.equal(set("endpoint", "https://hub.example"), null);
  assert.equal(set("token", "hf_b"), "hf_b");
  assert.equal(set("endpoint", null), null);
  assert.equal(removed, 2);
});
