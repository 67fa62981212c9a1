// What a visitor types, and the text that must not be lost.

const WORDS = ["once", "der Mond", "\n", "  ", "é", "🙂", "naïve", "“quoted”", "a", "the end.", "漢字", "zzz"];

export const words = (random) => Array.from({ length: 1 + random.below(3) }, () => random.pick(WORDS)).join(" ");

/** The field with the caret in it; null if typing is impossible now. */
export async function field(tab) {
  const isThere = await tab.do(() => {
    const { element } = monkey;
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
    element.removeAttribute("token-view");
    return element.state !== "writing";
  });
  if (!isThere) await tab.idle(1000);
  const textbox = tab.page.locator("#writer").getByRole("textbox");
  await textbox.focus();
  return textbox;
}

/** What the visitor has in the field now must not be lost, unless it is the page's or a link's. */
export async function remember(stage, tab) {
  const text = await tab.text();
  tab.own = stage.brought.has(text) ? null : text;
  tab.ownSince = stage.replacements;
}

export async function type(stage, tab, random) {
  const textbox = await field(tab);
  const [at, erased, typed] = [random.next(), random.below(4), words(random)];
  if (random.chance(0.7)) await textbox.press("ControlOrMeta+End");
  else await textbox.evaluate((f, at) => f.setSelectionRange(at * f.value.length, at * f.value.length), at);
  for (let i = 0; i < erased; i += 1) await tab.page.keyboard.press("Backspace");
  await tab.page.keyboard.insertText(typed);
  await remember(stage, tab);
  return JSON.stringify(typed);
}
