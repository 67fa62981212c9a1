// Takes what was selected on a page as the beginning of the text.

const writer = document.querySelector("token-former");
const session = globalThis.chrome?.storage?.session;

/** @param {string | undefined} beginning */
const take = (beginning) => {
  if (beginning) writer.generate(beginning).catch(() => {}); // the element shows what went wrong
};

if (session) {
  const { beginning } = await session.get("beginning");
  take(beginning);
  session.onChanged.addListener((changes) => take(changes.beginning?.newValue));
}
