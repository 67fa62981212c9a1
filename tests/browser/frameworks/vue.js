import { createApp, reactive } from "vue";

const template = `
  <token-former
    :text="text"
    backend="cpu"
    :max-tokens="isBare ? undefined : 3"
    :stop="isBare ? null : ['\\n\\n', 'The end']"
    :logit-bias="isBare ? null : { [bias]: 100 }"
    :no-cache="!isBare"
    @input="keep"
    @load="tell"
    @progress="tell"
    @token="count"
    @done="end"
    @error="tell"
  />
  <output>{{ tokens }} tokens: {{ text }}</output>`;

export function mount(target, props) {
  const state = reactive({ ...props, text: "Once", tokens: 0, isBare: false });
  const keep = (event) => (state.text = event.currentTarget.text);
  const count = (event) => {
    state.tokens += 1;
    props.tell(event);
  };
  const end = (event) => {
    keep(event);
    props.tell(event);
  };
  const setup = () => Object.assign(state, { keep, count, end });
  const app = createApp({ template, setup });
  app.config.compilerOptions.isCustomElement = (tag) => tag === "token-former";
  app.mount(target);
  return (changed) => Object.assign(state, changed);
}
