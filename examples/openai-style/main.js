// Code that was written for OpenAI's client: only the line that makes the client is another.

import { TokenFormer } from "../../dist/tokenformer.js";

const output = document.getElementById("output");

async function run() {
  // const client = new OpenAI({ apiKey });
  const client = await TokenFormer.load();

  const stream = await client.completions.create({
    prompt: "Once upon a time there was a king who had three daughters, and",
    max_tokens: 60,
    temperature: 0.6,
    top_p: 0.9,
    seed: 2,
    stream: true,
  });
  for await (const { choices } of stream) output.append(choices[0].text);

  const { choices, usage } = await client.completions.create({
    prompt: "The best of all is",
    max_tokens: 1,
    temperature: 0,
    logprobs: 5,
  });
  output.append(`\n\n${JSON.stringify({ likeliest: choices[0].logprobs.top_logprobs[0], usage }, null, 1)}`);
}

document.getElementById("run").addEventListener("click", () => {
  run().catch((error) => output.append(`\n${error.message} ${error.hint ?? ""}`));
});
