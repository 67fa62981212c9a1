// The headless Chromium that the scripts open the build in.

import { fileURLToPath } from "node:url";
import { findBrowser } from "../tests/browser/find-browser.mjs";
import { serve } from "./static-server.mjs";

const COMMON = [
  "--no-sandbox",
  "--enable-unsafe-webgpu",
  "--enable-features=Vulkan",
  "--disable-background-networking",
  "--no-first-run",
];
const HARDWARE = ["--ignore-gpu-blocklist", "--use-vulkan=native", "--disable-vulkan-surface", "--use-angle=vulkan"];

/** Serves dist/ and calls `work(browser, origin)`; everything has ended when this resolves. `software`: WebGPU on the CPU. */
export async function withBrowser({ software }, work) {
  const { chromium } = await import("playwright-core").catch(() => {
    console.error("playwright-core is missing; scripts/setup --tests installs it");
    process.exit(1);
  });
  const server = await serve({ "/": fileURLToPath(new URL("../dist", import.meta.url)) });
  const executablePath = await findBrowser();
  const browser = await chromium.launch({
    executablePath,
    args: [...COMMON, ...(software ? ["--use-webgpu-adapter=swiftshader"] : HARDWARE)],
  });
  try {
    await work(browser, server.origin);
  } finally {
    await browser.close();
    await server.close();
  }
}
