// A code block with a button that runs it, in a frame below. Nothing is fetched before the button is pressed.

import { defineComponent, h, ref } from "vue";
import { useData, withBase } from "vitepress";
import { liveDocument } from "../live-document.mjs";

export default defineComponent({
  props: { kind: { type: String, required: true }, code: { type: String, required: true } },
  setup(props, { slots }) {
    const { isDark } = useData();
    const shown = ref("");
    const run = () => {
      const moduleUrl = new URL(`${withBase("/")}../tokenformer.js`, location.href).href;
      const scheme = isDark.value ? "dark" : "light";
      shown.value = liveDocument(props.kind, decodeURIComponent(props.code), moduleUrl, { scheme });
    };
    const stop = () => (shown.value = "");
    return () =>
      h("div", { class: "live" }, [
        slots.default?.(),
        h("p", { class: "live-bar" }, [
          h("button", { type: "button", onClick: shown.value ? stop : run }, shown.value ? "Close" : "Run it here"),
          h("span", shown.value ? "" : props.kind === "js" ? "downloads the embedded model once, 29 MB" : ""),
        ]),
        shown.value && h("iframe", { title: "The example, running", srcdoc: shown.value }),
      ]);
  },
});
