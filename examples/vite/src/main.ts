import { TokenFormer, TokenFormerError, type GenerateOptions, type LoadProgress } from "tokenformer-web";

function byId<T extends HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`There is no #${id}.`);
  return element as T;
}

const [form, prompt, stop] = [
  byId<HTMLFormElement>("form"),
  byId<HTMLInputElement>("prompt"),
  byId<HTMLButtonElement>("stop"),
];
const [status, output] = [byId("status"), byId("output")];
const options: GenerateOptions = { maxTokens: 60, topP: 0.92, repetitionPenalty: 1.1 };

let loading: Promise<TokenFormer> | undefined;

/** Loads the model once, when it is first needed: the embedded one, of the package tokenformer-web-stories, which the build copies into public/. */
function model(): Promise<TokenFormer> {
  const onProgress = ({ phase, loadedBytes, totalBytes }: LoadProgress) => {
    status.textContent = totalBytes ? `${phase}: ${Math.floor((100 * loadedBytes) / totalBytes)} %` : phase;
  };
  loading ??= TokenFormer.load(undefined, { onProgress });
  loading.catch(() => (loading = undefined)); // the next attempt begins anew
  return loading;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const controller = new AbortController();
  stop.onclick = () => controller.abort();
  stop.disabled = false;
  output.textContent = prompt.value;
  try {
    const writer = await model();
    status.textContent = "";
    for await (const { text } of writer.generate(prompt.value, { ...options, signal: controller.signal }))
      output.append(text);
    status.textContent = `Done, in the ${writer.info.thread} thread.`;
  } catch (error) {
    status.textContent = error instanceof TokenFormerError ? `${error.message} ${error.hint}` : String(error);
  } finally {
    stop.disabled = true;
  }
});
