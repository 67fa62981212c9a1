"use client";

import { useRef, useState } from "react";
import { TokenFormer } from "tokenformer-web";

export function Writer({ beginning }) {
  const model = useRef(null);
  const [prompt, setPrompt] = useState(beginning);
  const [text, setText] = useState("");
  const [status, setStatus] = useState("");

  async function write(event) {
    event.preventDefault();
    setText(prompt);
    try {
      // Without a name: the embedded model, which "tokenformer-web copy public" has put into public/.
      model.current ??= await TokenFormer.load(undefined, { onProgress: ({ phase }) => setStatus(phase) });
      const chunks = model.current.generate(prompt, { maxTokens: 60, topP: 0.92, repetitionPenalty: 1.1 });
      for await (const chunk of chunks) setText((text) => text + chunk.text);
      setStatus(`Done, in the ${model.current.info.thread} thread.`);
    } catch (error) {
      setStatus(`${error.message} ${error.hint ?? ""}`);
    }
  }

  return (
    <form onSubmit={write}>
      <label>
        Begin a story:{" "}
        <input id="prompt" value={prompt} size="40" onChange={(event) => setPrompt(event.target.value)} />
      </label>
      <button>Go on</button>
      <p id="status" role="status">
        {status}
      </p>
      <p id="output">{text}</p>
    </form>
  );
}
