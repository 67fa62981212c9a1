// <token-former> in the templates of Vue and Svelte, by the types that their tools look it up in. Checked by
// scripts/lint/types.mjs.

import type { SvelteHTMLElements } from "svelte/elements";
import "tokenformer-web";
import type { GlobalComponents } from "vue";

type InVue = InstanceType<GlobalComponents["token-former"]>["$props"];
type InSvelte = SvelteHTMLElements["token-former"];

export const vue: InVue[] = [
  { class: "story", style: { color: "teal" }, key: 1, ref: "writer", text: "Once", "max-tokens": 5, stop: ["\n"] },
  { maxTokens: "5", logitBias: { 11: -5 }, "no-cache": true, onClick: (event) => event.preventDefault() },
  { onDone: ({ detail, currentTarget }) => [detail.finishReason.at(0), currentTarget.text] },
  {
    onLoad: ({ detail }) => detail.info,
    onError: ({ detail }) => detail.code,
    onToken: ({ detail }) => detail.tokenId,
  },
  // @ts-expect-error: not a number
  { "max-tokens": "many" },
  // @ts-expect-error: not the event's
  { onDone: (event: CustomEvent<string>) => event },
];

export const svelte: InSvelte[] = [
  { class: "story", style: "color: teal", text: "Once", "max-tokens": 5, stop: ["\n"], onclick: () => {} },
  { maxTokens: "5", logitBias: { 11: -5 }, "no-cache": true },
  { ondone: ({ detail, currentTarget }) => [detail.finishReason.at(0), currentTarget.text] },
  {
    onload: ({ detail }) => detail.info,
    onerror: ({ detail }) => detail.code,
    ontoken: ({ detail }) => detail.tokenId,
  },
  { "on:done": ({ detail }) => detail.finishReason.at(0) },
  // @ts-expect-error: not a number
  { "max-tokens": "many" },
  // @ts-expect-error: not the event's
  { ondone: (event: CustomEvent<string>) => event },
];
