// Types of what wasm-bindgen makes of src/api, for the checks of www/lib: the generated ones know no more than `any`.

import type {
  BenchmarkResult,
  KernelTime,
  Chunk,
  GenerateResult,
  LoadProgress,
  ModelInfo,
  ScoreResult,
  StoredModel,
} from "./tokenformer.js";

/** What `Engine.load` and `Engine.random` take. */
export type Request = Record<string, unknown>;

/** Text, or ids. */
export type Prompt = string | Uint32Array;

/** A loaded model. Not to be called twice at once. */
export class Engine {
  static load(request: Request, onProgress: (progress: LoadProgress) => void, signal: AbortSignal): Promise<Engine>;
  static random(request: Request): Promise<Engine>;
  info(): Omit<ModelInfo, "thread">;
  device?(): GPUDevice | undefined;
  encode(text: string): Uint32Array;
  decode(ids: Uint32Array): string;
  start(prompt: Prompt, options: object): Promise<Generation>;
  score(items: { text: Prompt; context: Prompt }[]): Promise<ScoreResult[]>;
  logits(ids: Uint32Array): Promise<Float32Array>;
  settle(): Promise<void>;
  stepInfo(): Pick<BenchmarkResult, "dispatchesPerToken" | "bytesPerToken">;
  kernelTimes(): Promise<KernelTime[] | null>;
  reset(): void;
  abort(): void;
  dispose(): void;
  free(): void;
}

/** A text that is being written. */
export class Generation {
  next(): Promise<Chunk | undefined>;
  /** Makes it what it would be if no more than the first `taken` chunks had been written. */
  rewind(taken: number): void;
  result(): GenerateResult;
  abort(): void;
  free(): void;
}

export function storedModels(): Promise<StoredModel[]>;
export function deleteModels(id: string, revision?: string, quantization?: string): Promise<number>;

export default function init(options: { module_or_path: WebAssembly.Module }): Promise<unknown>;
