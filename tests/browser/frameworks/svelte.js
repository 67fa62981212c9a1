import { flushSync, mount as mountComponent } from "svelte";
import Story from "./Story.svelte";

export function mount(target, props) {
  let change;
  mountComponent(Story, { target, props: { ...props, changes: (set) => (change = set) } });
  return (changed) => flushSync(() => change(changed));
}
