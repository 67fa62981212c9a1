// The page around the element: examples, and what the loaded model tells about itself.

import "../tokenformer.js";
import { adapterInWords, megabytes } from "../lib/status.js";

const byId = (id) => document.getElementById(id);
const writer = byId("writer");

byId("examples").addEventListener("click", ({ target }) => {
  const example = target.closest("button");
  if (!example) return;
  writer.setAttribute("prompt", example.textContent);
  writer.scrollIntoView({ block: "nearest" });
  writer.focus();
});

writer.addEventListener("load", ({ detail: model }) => {
  const { adapter, backend, id, weightBytes, gpuBytes, contextLength, notes } = model.info;
  byId("adapter").textContent = adapterInWords(adapter) || backend;
  byId("model").textContent = id;
  byId("weights").textContent = `${megabytes(weightBytes)} MB`;
  byId("memory").textContent = `${megabytes(gpuBytes)} MB`;
  byId("context").textContent = `${contextLength.toLocaleString("en")} tokens`;
  byId("notes").replaceChildren(...(notes ?? []).map((note) => Object.assign(document.createElement("li"), { textContent: note })));
  byId("details").hidden = false;
});
