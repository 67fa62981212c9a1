// OpenAI's own client: its requests go to the model in this page, by the model's fetch.

import OpenAI from "openai";
import { TokenFormer } from "../../dist/tokenformer.js";

const output = document.getElementById("output");

async function run() {
  const model = await TokenFormer.load();
  const client = new OpenAI({
    baseURL: "http://tokenformer/v1", // nobody is asked there
    apiKey: "-",
    fetch: model.fetch,
    dangerouslyAllowBrowser: true, // there is no key that could be stolen
  });

  const stream = await client.completions.create({
    model: model.info.id,
    prompt: "Once upon a time there was a king who had three daughters, and",
    max_tokens: 60,
    temperature: 0.6,
    top_p: 0.9,
    seed: 2,
    stream: true,
  });
  for await (const { choices } of stream) output.append(choices[0].text);

  // How likely each word of a text is: nothing is written, the prompt is scored.
  const { choices } = await client.completions.create({
    model: model.info.id,
    prompt: "The king had three daughters.",
    max_tokens: 0,
    echo: true,
    logprobs: 0,
  });
  const { tokens, token_logprobs: logprobs } = choices[0].logprobs;
  output.append(`\n\n${JSON.stringify(tokens.map((token, i) => [token, logprobs[i]]))}`);
}

document.getElementById("run").addEventListener("click", () => {
  run().catch((error) => output.append(`\n${error.message}`));
});
