// A page of the site uses another page's model by a plain fetch: page, service worker and engine are the real ones.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { open, start, SUB_PATH } from "./harness.mjs";

let world;
let context;
let holder;
let page;
before(async () => {
  world = await start({ webgpu: false });
  context = await world.browser.newContext();
  const url = `${world.server.origin}${SUB_PATH}`;
  holder = await open(world, url, { context });
  await holder.waitForFunction(() => navigator.serviceWorker.controller);
  page = await open(world, `${url}bench.html`, { context });
  await page.waitForFunction(() => navigator.serviceWorker.controller);
});
after(() => world?.close());

/** What the second page's fetch receives. */
const ask = (path, body) =>
  page.evaluate(
    async ([path, body]) => {
      const init = body && { method: "POST", body: JSON.stringify(body) };
      const response = await fetch(path, init);
      return { status: response.status, type: response.headers.get("Content-Type"), text: await response.text() };
    },
    [path, body],
  );
const GREEDY = { prompt: "The king had three", max_tokens: 4, temperature: 0 };

test("without a model the answer says so", async () => {
  const { status, text } = await ask("v1/completions", GREEDY);
  assert.equal(status, 503);
  assert.match(JSON.parse(text).error.message, /No open page of this site holds a model/);
});

test("a plain fetch reaches the model of another page, whole and as a stream", async () => {
  const wanted = await holder.evaluate(
    async ([prompt]) => {
      const model = await document.querySelector("token-former").load();
      // The offer is made after the load event.
      while (!(await navigator.locks.query()).held.some(({ name }) => name.startsWith("tokenformer-web serves")))
        await new Promise((done) => setTimeout(done, 10));
      await model.reset();
      return (await model.complete(prompt, { maxTokens: 4, temperature: 0, topP: 1 })).text;
    },
    [GREEDY.prompt],
  );
  for (const path of ["v1/completions", "/v1/completions"]) {
    const { status, text } = await ask(path, GREEDY);
    assert.deepEqual([status, JSON.parse(text).choices[0].text], [200, wanted]);
  }
  const { type, text } = await ask("v1/completions", { ...GREEDY, stream: true });
  assert.match(type, /^text\/event-stream/);
  const events = text
    .trimEnd()
    .split("\n\n")
    .map((event) => event.slice("data: ".length));
  assert.equal(events.pop(), "[DONE]");
  assert.equal(events.map((event) => JSON.parse(event).choices[0].text).join(""), wanted);
  const { data } = JSON.parse((await ask("/v1/models")).text);
  assert.equal(data[0].id, await holder.evaluate(() => document.querySelector("token-former").model.info.id));
});

test("an echoed prompt has the log-probabilities that score has, and the likeliest tokens", async () => {
  const text = "The king had three daughters, and the youngest é 😀.";
  const { ids, logprobs } = await holder.evaluate(async (text) => {
    const { model } = document.querySelector("token-former");
    const { tokenIds: ids, logprobs } = await model.score(text);
    return { ids, logprobs };
  }, text);
  const scored = async (more) => {
    const body = { prompt: text, echo: true, max_tokens: 0, ...more };
    return JSON.parse((await ask("v1/completions", body)).text).choices[0];
  };
  const [plain, rich, byIds] = [
    await scored({ logprobs: 0 }),
    await scored({ logprobs: 2 }),
    await scored({ prompt: ids, logprobs: 1 }),
  ];
  for (const choice of [plain, rich, byIds]) {
    assert.equal(choice.text, text);
    assert.equal(choice.logprobs.tokens.join(""), text);
    assert.equal(choice.logprobs.token_logprobs[0], null);
    assert.equal(choice.logprobs.token_logprobs.length, logprobs.length);
    for (let i = 1; i < logprobs.length; i++)
      assert.ok(Math.abs(choice.logprobs.token_logprobs[i] - logprobs[i]) < 0.02, `${i}`);
  }
  for (const [i, top] of rich.logprobs.top_logprobs.entries()) {
    if (i === 0) continue;
    const own = rich.logprobs.token_logprobs[i];
    assert.ok(Object.values(top).includes(own) && Math.max(...Object.values(top)) >= own);
  }
});

test("a page that closes in the middle of an answer ends it", async () => {
  await page.evaluate(async () => {
    const body = JSON.stringify({ prompt: "The king", max_tokens: 900, temperature: 1, stream: true });
    const response = await fetch("v1/completions", { method: "POST", body });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    globalThis.first = (await reader.read()).value;
    globalThis.rest = (async () => {
      let text = "";
      for (let next; !(next = await reader.read()).done;) text += next.value;
      return text;
    })();
  });
  assert.match(await page.evaluate(() => globalThis.first), /^data: \{/);
  await holder.close();
  assert.match(await page.evaluate(() => globalThis.rest), /closed before its answer was whole[^\n]*\n\n$/);
  assert.equal((await ask("v1/models")).status, 503);
});
