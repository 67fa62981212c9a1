// Prints the path of a Chromium that can run headless; exits 1 if there is none.
// CHROMIUM=/path/to/one takes precedence.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const NAMES = ["chromium-headless-shell", "chromium", "google-chrome-stable", "google-chrome", "chrome"];

function runs(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Path of the Chromium to test with, or null. */
export async function findBrowser() {
  if (process.env.CHROMIUM) return runs(process.env.CHROMIUM) ? process.env.CHROMIUM : null;
  for (const name of NAMES) {
    for (const folder of (process.env.PATH ?? "").split(delimiter)) {
      const path = join(folder, name);
      // A snap's wrapper cannot see our temporary folders.
      if (runs(path) && !folder.startsWith("/snap")) return path;
    }
  }
  try {
    const { registry } = await import("playwright-core/lib/server/registry/index");
    const shell = registry.findExecutable("chromium-headless-shell")?.executablePath();
    if (shell && runs(shell)) return shell;
  } catch {
    // playwright-core is not installed, or keeps its list elsewhere.
  }
  try {
    const { chromium } = await import("playwright-core");
    const path = chromium.executablePath();
    if (runs(path)) return path;
  } catch {
    // Playwright has no browser of its own either.
  }
  return null;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const path = await findBrowser();
  if (!path) process.exit(1);
  console.log(path);
}
