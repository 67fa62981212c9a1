import { TokenFormer } from "tokenformer-web";

const [form, prompt, status, output] = ["form", "prompt", "status", "output"].map((id) => document.getElementById(id));
let model;

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  output.textContent = prompt.value;
  try {
    // Without a name: the embedded model, of the package tokenformer-web-stories. It is loaded once.
    model ??= await TokenFormer.load(undefined, { onProgress: ({ phase }) => (status.textContent = phase) });
    const chunks = model.generate(prompt.value, { maxTokens: 60, topP: 0.92, repetitionPenalty: 1.1 });
    for await (const { text } of chunks) output.append(text);
    status.textContent = `Done, in the ${model.info.thread} thread.`;
  } catch (error) {
    status.textContent = `${error.message} ${error.hint ?? ""}`;
  }
});
