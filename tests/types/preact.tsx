// <token-former> in Preact's JSX: what must be accepted, and what must be refused. Checked by scripts/lint/types.mjs.

import { useRef, useState } from "preact/hooks";
import "tokenformer-web";
import type { TokenFormerElement } from "tokenformer-web";

export function Story() {
  const [text, setText] = useState("Once upon a time");
  const element = useRef<TokenFormerElement>(null);
  return (
    <>
      <token-former
        ref={element}
        key="story"
        class="story"
        style={{ color: "teal" }}
        slot="main"
        data-of="page"
        aria-label="A story"
        model="owner/name"
        text={text}
        max-tokens={200}
        temperature="0.7"
        stop={["\n\n"]}
        logit-bias={{ 11: -5 }}
        quantization="q4"
        config={{ num_layers: 2 }}
        autoload
        no-cache={text === ""}
        token-view={undefined}
        onClick={(event) => event.currentTarget.generate()}
        oninput={(event) => setText(event.currentTarget.text)}
        onload={({ detail }) => detail.info.id.at(0)}
        onprogress={({ detail }) => detail.loadedBytes.toFixed()}
        ontoken={({ detail }) => detail.tokenId.toFixed()}
        ondone={({ currentTarget, detail }) => [currentTarget.passages, detail.finishReason.at(0)]}
        onerror={({ detail }) => detail.code.at(0)}
      >
        <h2 slot="heading">A story</h2>
      </token-former>
      <token-former maxTokens={5} topP="0.9" logitBias='{"11": -5}' stop='["\n"]' noCache no-heal="" tokenView={null} />
      {/* @ts-expect-error: no such attribute */}
      <token-former maxToken={5} />
      {/* @ts-expect-error: not a number */}
      <token-former max-tokens="many" />
      {/* @ts-expect-error: no such precision */}
      <token-former quantization="q5" />
      <token-former onDone={({ detail }) => detail.finishReason.at(0)} onLoad={({ detail }) => detail.info} />
      {/* @ts-expect-error: the event of another element */}
      <token-former ondone={(event: CustomEvent<string>) => event} />
    </>
  );
}
