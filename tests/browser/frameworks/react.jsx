/** @jsxImportSource react */
import { useState } from "react";
import { createRoot } from "react-dom/client";

function Story({ tell, bias, isBare }) {
  const [text, setText] = useState("Once");
  const [tokens, setTokens] = useState(0);
  const keep = (event) => setText(event.currentTarget.text);
  return (
    <>
      <token-former
        text={text}
        backend="cpu"
        max-tokens={isBare ? undefined : 3}
        stop={isBare ? null : ["\n\n", "The end"]}
        logit-bias={isBare ? null : { [bias]: 100 }}
        no-cache={!isBare}
        oninput={keep}
        onload={tell}
        onprogress={tell}
        ontoken={(event) => {
          setTokens((n) => n + 1);
          tell(event);
        }}
        ondone={(event) => {
          keep(event);
          tell(event);
        }}
        onerror={tell}
      />
      <output>
        {tokens} tokens: {text}
      </output>
    </>
  );
}

export function mount(target, props) {
  const root = createRoot(target);
  root.render(<Story {...props} />);
  return (changed) => root.render(<Story {...props} {...changed} />);
}
