// What the monkey has in every page of the project: `globalThis.monkey`.

/** Runs before anything of the page: storage that can be full. */
export function beforePage() {
  const { setItem } = Storage.prototype;
  globalThis.isFull = false;
  Storage.prototype.setItem = function (...args) {
    if (globalThis.isFull) throw new DOMException("full on purpose", "QuotaExceededError");
    return setItem.apply(this, args);
  };
}

/** Runs once the page is loaded. */
export async function arrive(codes) {
  const { TokenFormer } = await import("./tokenformer.js");
  const element = document.querySelector("token-former");
  const monkey = (globalThis.monkey = {
    TokenFormer,
    element,
    /** Unexpected errors. */
    wrong: [],
    /** `{ id, config }` of everything that was loaded without options. */
    loaded: [],
    /** Code and message of the last errors. */
    thrown: [],
    /** A model from the API, kept between two actions. */
    model: null,
  });
  monkey.judge = (error) => {
    // The page's bundle has a library of its own, and with it a class of its own.
    const isOurs = error?.name === "TokenFormerError" && codes.includes(error.code);
    monkey.thrown = [...monkey.thrown.slice(-9), `${error?.code}: ${error?.message}`];
    if (!isOurs || !error.message || !error.hint) monkey.wrong.push(`untyped: ${error?.stack ?? error}`);
    // Nothing happened to the engine: it has no reason to stop.
    else if (error.code === "device-lost") monkey.wrong.push(`${error.message} ${error.cause?.stack ?? error.cause}`);
    return { outcome: error?.code ?? "untyped", message: `${error?.message} ${error?.hint}` };
  };
  element.addEventListener("error", ({ detail }) => monkey.judge(detail));
  element.addEventListener("load", ({ detail: { info } }) => {
    if (!element.hasAttribute("context-length")) monkey.loaded.push({ id: info.id, config: info.config });
  });
  element.addEventListener("done", ({ detail }) => (monkey.done = detail));
  /** Runs `call` to its end: `{ outcome, … }`. */
  monkey.attempt = async (call) => {
    try {
      return { outcome: "done", value: await call() };
    } catch (error) {
      return monkey.judge(error);
    }
  };
  /** Loads with the API, and returns its info; `abortAfter`: milliseconds. */
  monkey.load = async (name, options, { abortAfter, texts = 0 }) => {
    const controller = new AbortController();
    let abortedAt = Infinity;
    const timer = setTimeout(() => {
      abortedAt = performance.now();
      controller.abort();
    }, abortAfter);
    const result = await monkey.attempt(async () => {
      const model = await TokenFormer.load(name ?? undefined, { ...options, signal: controller.signal });
      clearTimeout(timer);
      const { config, id } = model.info;
      const logits = Array.from(await model.logits([1, 2, 3]));
      for (let i = 0; i < texts; i += 1) await model.complete([1, 2, 3], { maxTokens: 5, seed: i });
      await model.dispose();
      return { id, config, logits };
    });
    clearTimeout(timer);
    const late = performance.now() - abortedAt;
    if (result.outcome === "aborted" && late > 5000) monkey.wrong.push(`an abort took ${late} ms`);
    return result;
  };
}

/** Texts in the library of stories; none if it cannot be read. */
export function libraryTexts() {
  return new Promise((resolve) => {
    const request = indexedDB.open("tokenformer-stories");
    request.onupgradeneeded = () => request.transaction.abort(); // there is none
    request.onerror = () => resolve([]);
    request.onsuccess = () => {
      const all = request.result.transaction("stories").objectStore("stories").getAll();
      all.onsuccess = () => resolve(all.result.map(({ story }) => story.passages.map(({ text }) => text).join("")));
      all.onerror = () => resolve([]);
      request.result.close();
    };
  });
}

/** Everything that is compared after each action. */
export function snapshot() {
  const { monkey } = globalThis;
  const { element } = monkey;
  const shadow = element.shadowRoot;
  const stored = (place) => {
    try {
      return JSON.stringify({ ...globalThis[place] });
    } catch {
      return "";
    }
  };
  const own = document.querySelector("#own-text");
  const texts = () =>
    Object.entries(localStorage)
      .filter(([key]) => key.startsWith("tokenformer-web-replaced/"))
      .map(([, kept]) => JSON.parse(kept));
  const [wrong, loaded] = [monkey.wrong, monkey.loaded];
  monkey.wrong = [];
  monkey.loaded = [];
  return {
    state: element.state,
    status: shadow.querySelector("[part=status]").textContent,
    error: shadow.querySelector("[part=error]").hidden ? "" : shadow.querySelector("[part=error]").textContent,
    text: element.text,
    shown: shadow.querySelector("textarea").value,
    passages: element.passages,
    attributes: Object.fromEntries([...element.attributes].map(({ name, value }) => [name, value])),
    isUnkept: !document.querySelector("#unkept").hidden,
    ownOffered: own.hidden ? null : document.querySelector("#own-beginning").textContent,
    replaced: texts().map(({ passages }) => passages.map(({ text }) => text).join("")),
    secrets: stored("localStorage") + stored("sessionStorage") + location.href,
    wrong,
    loaded,
  };
}
