// The documentation's site: VitePress makes it of docs/*.md. scripts/docs builds it into dist/docs, beside the module that
// its live examples load.

import { readFileSync } from "node:fs";
import { defineConfig } from "vitepress";
import { placesOf } from "../../scripts/site.mjs";
import { literalCode, liveFences, outsideLinks, slug } from "./markdown.mjs";

const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
const { site, source } = placesOf(process.env, manifest);

export default defineConfig({
  title: "tokenformer-web",
  description: "TokenFormer language models in a web page, on the visitor's own GPU.",
  lang: "en",
  base: new URL("docs/", site || "http://localhost/").pathname,
  outDir: "../dist/docs",
  cacheDir: "../target/docs",
  lastUpdated: false,
  markdown: {
    theme: { light: "github-light-high-contrast", dark: "github-dark" },
    anchor: { slugify: slug },
    attrs: { disable: true }, // GitHub has none, and braces in code are code
    config(md) {
      literalCode(md);
      liveFences(md);
      outsideLinks(md, source);
    },
  },
  themeConfig: {
    search: { provider: "local" },
    outline: { level: [2, 3] },
    nav: [{ text: "Try it", link: "../", target: "_self" }],
    ...(source ? { socialLinks: [{ icon: "github", link: source }] } : {}),
    sidebar: [
      {
        text: "Use it",
        items: [
          { text: "Start here", link: "/" },
          { text: "The element", link: "/element" },
          { text: "The API", link: "/api" },
          { text: "OpenAI clients, AI SDK, HTTP", link: "/openai" },
          { text: "Install", link: "/install" },
          { text: "Frameworks", link: "/frameworks" },
        ],
      },
      {
        text: "Models",
        items: [
          { text: "Models and quantization", link: "/models" },
          { text: "Token packs", link: "/packs" },
          { text: "Look inside", link: "/inside" },
          { text: "Evaluation", link: "/evaluation" },
        ],
      },
      {
        text: "Run it",
        items: [
          { text: "The page", link: "/page" },
          { text: "Hosting and security", link: "/hosting" },
          { text: "Troubleshooting", link: "/troubleshooting" },
          { text: "Browsers and limits", link: "/browsers" },
        ],
      },
      {
        text: "Understand it",
        items: [
          { text: "How it works", link: "/how-it-works" },
          { text: "What a TokenFormer is", link: "/tokenformer" },
          { text: "A decode step in one dispatch", link: "/decode" },
          { text: "Quantized while it streams", link: "/streaming" },
          { text: "Decisions", link: "/decisions" },
        ],
      },
    ],
  },
});
