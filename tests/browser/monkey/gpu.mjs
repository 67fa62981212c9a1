// A page whose model is on a software GPU, and whose device is lost now and then.

import assert from "node:assert/strict";
import { enginePage } from "../harness.mjs";

/** Keeps every device, so that it can be destroyed. */
function keepsDevices() {
  globalThis.devices = [];
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (descriptor) {
    const device = await requestDevice.call(this, descriptor);
    globalThis.devices.push(device);
    return device;
  };
}

export class GpuTab {
  #page;
  #calm;

  static async open(world, stage) {
    const tab = new GpuTab();
    tab.#page = await enginePage(world, "main", keepsDevices);
    tab.#page.on("pageerror", (error) => stage.violations.push(`GPU: ${error.stack ?? error}`));
    await tab.#page.evaluate((folder) => {
      globalThis.write = async (loseAfter) => {
        globalThis.model ??= await TokenFormer.load(folder, { backend: "webgpu" });
        await model.reset();
        const options = { maxTokens: 20, temperature: 1, seed: 7, logitBias: { 0: -1000 } };
        const tokens = [];
        for await (const { tokenId } of model.generate([1, 2, 3], options)) {
          tokens.push(tokenId);
          if (tokens.length === loseAfter) for (const device of devices.splice(0)) device.destroy();
        }
        return tokens;
      };
    }, `${stage.server.origin}/models/mine/`);
    tab.#calm = await tab.#page.evaluate(() => write(0));
    assert.equal(tab.#calm.length, 20);
    return tab;
  }

  /** A device that is lost in the middle of a text is replaced, and the text is the same. */
  async loseDevice(random) {
    const loseAfter = 1 + random.below(15);
    const tokens = await this.#page.evaluate((loseAfter) => write(loseAfter), loseAfter);
    assert.deepEqual(tokens, this.#calm, `a device was lost after ${loseAfter} tokens`);
  }
}
