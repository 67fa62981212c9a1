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

/**
 * Lets pages use the browser's software GPU if no backend is set: it is what they are to test, although visitors get
 * the faster CPU engine instead.
 */
export function takeSoftwareGpu(browser) {
  const newContext = browser.newContext.bind(browser); // newPage makes its context by this
  browser.newContext = async (options) => {
    const context = await newContext(options);
    await context.addInitScript(() => (globalThis[Symbol.for("tokenformer.softwareGpu")] = true));
    return context;
  };
  return browser;
}

/** Serves dist/ and calls `work(browser, origin)`; everything has ended when it resolves. `software`: WebGPU on the CPU; `cpu`: no WebGPU. */
export async function withBrowser({ software = false, cpu = false }, work) {
  const { chromium } = await import("playwright-core").catch(() => {
    console.error("playwright-core is missing; scripts/setup --tests installs it");
    process.exit(1);
  });
  const server = await serve({ "/": fileURLToPath(new URL("../dist", import.meta.url)) });
  const executablePath = await findBrowser();
  const browser = await chromium.launch({
    executablePath,
    args: cpu
      ? ["--no-sandbox", "--disable-gpu", "--no-first-run"]
      : [...COMMON, ...(software ? ["--use-webgpu-adapter=swiftshader"] : HARDWARE)],
  });
  if (software) takeSoftwareGpu(browser);
  try {
    await work(browser, server.origin);
  } finally {
    await browser.close();
    await server.close();
  }
}
