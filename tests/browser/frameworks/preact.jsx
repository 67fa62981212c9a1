/** @jsxImportSource preact */
import { render } from "preact";
import { useState } from "preact/hooks";

function Story({ tell, bias, isBare }) {
  const [text, setText] = useState("Once");
  const [tokens, setTokens] = useState(0);
  const keep = (event) => setText(event.currentTarget.text);
  return (
    <>
      <token-former
        text={text}
        backend="cpu"
        maxTokens={isBare ? undefined : 3}
        stop={isBare ? null : ["\n\n", "The end"]}
        logit-bias={isBare ? null : { [bias]: 100 }}
        no-cache={!isBare}
        oninput={keep}
        onLoad={tell}
        onprogress={tell}
        onToken={(event) => {
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
  render(<Story {...props} />, target);
  return (changed) => render(<Story {...props} {...changed} />, target);
}
