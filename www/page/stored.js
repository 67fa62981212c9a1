// The models that are stored in this browser, for the panels.

import { TokenFormer } from "../tokenformer.js";

/** Names of the databases that the engine keeps models in begin with this. */
const DATABASE = "tokenformer-web";

/** As `TokenFormer.models()`, without fetching the engine, which reads the records, where nothing was ever stored. */
export async function storedModels() {
  return (await hasDatabase()) ? TokenFormer.models() : [];
}

/** Whether the browser has a database of models; true where it does not tell. */
async function hasDatabase() {
  try {
    const databases = await globalThis.indexedDB.databases();
    return databases.some(({ name }) => name?.startsWith(DATABASE));
  } catch {
    return true; // an older browser, or no storage at all: the engine knows more
  }
}
