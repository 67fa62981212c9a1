// The best that the GPU and the browser allow, measured in the same page as a benchmark: a rate says little without it.

import { TokenFormerError } from "../../lib/errors.js";

const READ = `
@group(0) @binding(0) var<storage, read> source: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> sums: array<u32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    var sum = vec4<u32>();
    let stride = grid.x * 256u;
    for (var i = id.x; i < arrayLength(&source); i += stride) {
        sum ^= source[i];
    }
    sums[id.x % arrayLength(&sums)] = sum.x ^ sum.y ^ sum.z ^ sum.w;
}`;
// Depends on the dispatch before it, as the kernels of a model do.
const SMALL = `
@group(0) @binding(0) var<storage, read_write> values: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    values[id.x] = values[id.x] * 3u + 1u;
}`;

const STEPS = 100;
const DISPATCHES = 200;
const IN_FLIGHT = 4;

/** @typedef {Awaited<ReturnType<typeof probe>>} Probed */

/**
 * Measures, best of several rounds: bytes per second that a kernel reads, microseconds that a small dependent dispatch
 * takes (200 of them in a pass, four such steps in flight, each with its readback), milliseconds from a submit to its
 * mapped result.
 * @returns {Promise<{ bytesPerSecond: number, dispatchMicroseconds: number, readbackMs: number }>}
 */
export async function probe() {
  const adapter = await globalThis.navigator?.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new TokenFormerError("webgpu-unavailable", "No WebGPU adapter was found.");
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const device = await adapter.requestDevice({ requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } });
  try {
    const bytesPerSecond = await bandwidth(device, Math.min(2 ** 30, maxBufferSize, maxStorageBufferBindingSize));
    return { bytesPerSecond, ...(await latencies(device)) };
  } finally {
    device.destroy();
  }
}

/** @param {GPUDevice} device @param {string} code @param {GPUBuffer[]} buffers @returns {(pass: GPUComputePassEncoder, workgroups: number, times: number) => void} */
function kernel(device, code, buffers) {
  const pipeline = device.createComputePipeline({
    layout: "auto",
    compute: { module: device.createShaderModule({ code }) },
  });
  const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
  const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  return (pass, workgroups, times) => {
    pass.setPipeline(pipeline);
    for (let i = 0; i < times; i++) {
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(workgroups);
    }
  };
}

/** @param {GPUDevice} device @param {number} limit bytes of the largest buffer @returns {Promise<number>} bytes per second */
async function bandwidth(device, limit) {
  const { STORAGE } = GPUBufferUsage;
  // As large as possible, so that no cache holds it.
  let size = Math.floor(limit / 2 ** 20) * 2 ** 20;
  let source = null;
  while (!source) {
    for (const filter of /** @type {const} */ (["validation", "out-of-memory"])) device.pushErrorScope(filter);
    source = device.createBuffer({ size, usage: STORAGE });
    const failures = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
    if (failures.every((failure) => failure === null)) break;
    source = null;
    size /= 2;
    if (size < 2 ** 20)
      throw new TokenFormerError("out-of-memory", "The GPU has no room for a buffer to measure with.");
  }
  const read = kernel(device, READ, [source, device.createBuffer({ size: 2 ** 18, usage: STORAGE })]);
  let best = Infinity;
  for (const workgroups of [512, 2048, 8192]) {
    for (let round = 0; round < 4; round++) {
      const repeats = 10; // the wait at the end is one part of ten
      const from = performance.now();
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      read(pass, workgroups, repeats);
      pass.end();
      device.queue.submit([encoder.finish()]);
      await device.queue.onSubmittedWorkDone();
      best = Math.min(best, (performance.now() - from) / repeats);
    }
  }
  source.destroy();
  return (size / best) * 1000;
}

/** @param {GPUDevice} device */
async function latencies(device) {
  const { COPY_DST, COPY_SRC, MAP_READ, STORAGE } = GPUBufferUsage;
  const values = device.createBuffer({ size: 2 ** 16, usage: STORAGE | COPY_SRC });
  const small = kernel(device, SMALL, [values]);
  const staging = Array.from({ length: IN_FLIGHT }, () =>
    device.createBuffer({ size: 256, usage: MAP_READ | COPY_DST }),
  );
  const step = (/** @type {number} */ dispatches, /** @type {GPUBuffer} */ buffer) => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    small(pass, 16, dispatches);
    pass.end();
    encoder.copyBufferToBuffer(values, 0, buffer, 0, 256);
    device.queue.submit([encoder.finish()]);
    return buffer.mapAsync(GPUMapMode.READ);
  };
  const readbacks = [];
  for (let i = 0; i < 30; i++) {
    const from = performance.now();
    await step(1, staging[0]);
    staging[0].unmap();
    readbacks.push(performance.now() - from);
  }
  readbacks.sort((a, b) => a - b);
  let best = Infinity;
  for (let round = 0; round < 6; round++) {
    const from = performance.now();
    const flights = [];
    for (let i = 0; i < STEPS; i++) {
      if (flights.length === IN_FLIGHT) {
        await flights.shift();
        staging[i % IN_FLIGHT].unmap();
      }
      flights.push(step(DISPATCHES, staging[i % IN_FLIGHT]));
    }
    await Promise.all(flights);
    for (const buffer of staging) buffer.unmap();
    best = Math.min(best, (performance.now() - from) / STEPS);
  }
  return { dispatchMicroseconds: (best * 1000) / DISPATCHES, readbackMs: readbacks[readbacks.length >> 1] };
}

/**
 * Share of the best possible speed that `tokensPerSecond` reaches: a token's dispatches and bytes at the probed rates.
 * @param {Probed} probed
 * @param {Pick<import("../../tokenformer.js").BenchmarkResult, "dispatchesPerToken" | "bytesPerToken">} result
 * @param {number} tokensPerSecond
 */
export function shareOfFloor(probed, { dispatchesPerToken, bytesPerToken }, tokensPerSecond) {
  const seconds = (dispatchesPerToken * probed.dispatchMicroseconds) / 1e6 + bytesPerToken / probed.bytesPerSecond;
  return seconds * tokensPerSecond;
}
