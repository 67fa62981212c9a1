// Types of what wasm-bindgen makes of src/api, for the checks of www/lib: the generated ones know no more than `any`.

import type {
  AlternativeChunk,
  BenchmarkResult,
  KernelTime,
  Chunk,
  GenerateResult,
  Inspected,
  LoadProgress,
  ModelInfo,
  PackKind,
  PackTraining,
  Promotes,
  ScoreResult,
  TrainProgress,
} from "./tokenformer.js";

/** What `Engine.load` and `Engine.random` take. */
export type Request = Record<string, unknown>;

/** Text, or ids. */
export type Prompt = string | Uint32Array;

/** One of several texts that are written at once. */
export interface Candidate {
  prompt: Prompt;
  seed: number;
}

/** A parameter token, checked. */
export interface TokenPlace {
  layer: number;
  kind: PackKind;
  slot: number;
  pack?: string;
}

/** What `inspect` looks at; what is left out is all, of positions the last. */
export interface InspectRequest {
  positions?: number[];
  layers?: number[];
  kinds?: PackKind[];
  top: number;
}

/** A loaded model. Not to be called twice at once. */
export class Engine {
  static load(request: Request, onProgress: (progress: LoadProgress) => void, signal: AbortSignal): Promise<Engine>;
  static random(request: Request): Promise<Engine>;
  info(): Omit<ModelInfo, "thread" | "packs">;
  device?(): GPUDevice | undefined;
  encode(text: string): Uint32Array;
  decode(ids: Uint32Array): string;
  start(prompt: Prompt, options: object): Promise<Generation>;
  /** Begins any number of texts, of which it writes some at a time; `options` as for `start`, without the seed. */
  startSeveral(candidates: Candidate[], options: object): Promise<Several>;
  score(items: { text: Prompt; context: Prompt }[]): Promise<ScoreResult[]>;
  logits(ids: Uint32Array): Promise<Float32Array>;
  /** What was read from the first position on is forgotten. */
  inspect(text: Prompt, request: InspectRequest): Promise<Inspected[]>;
  promotes(token: TokenPlace, top: number): Promise<Promotes>;
  /** The context is forgotten. */
  ablate(ablations: (TokenPlace & { scale: number })[]): Promise<void>;
  context(): Uint32Array;
  /** Has a pack take part, in the place of one of that name. `bytes`: its file. The context is forgotten, as by the other two. */
  addPack(bytes: Uint8Array, options: { name: string; strength: number }): Promise<void>;
  setPack(name: string, strength: number): Promise<void>;
  removePack(name: string): Promise<void>;
  /** Begins to train a pack; `options` are those of `train`, all there, all checked. `pack`: the file of tokens to go on from. */
  startTraining(documents: Prompt[], options: object, pack?: Uint8Array): Promise<Training>;
  settle(): Promise<void>;
  stepInfo(): Pick<BenchmarkResult, "dispatchesPerToken" | "bytesPerToken">;
  kernelTimes(timed: unknown): Promise<KernelTime[] | null>;
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

/** Texts that are being written at once, numbered in the order in which they were asked for. */
export class Several {
  /** The next chunk of any of them; undefined once all have ended. */
  next(): Promise<AlternativeChunk | undefined>;
  /** Before a text's end it reads as aborted. */
  result(): GenerateResult[];
  /** Ends that text at its next step; what was held back of it still comes. */
  abortOne(index: number): void;
  /** The same for all. */
  abort(): void;
  free(): void;
}

/** What is told of a training as it goes. */
export interface TrainingProgress extends Omit<TrainProgress, "loss"> {
  /** Of the steps since it was told last. */
  losses: number[];
  /** The loss of the text that is kept back, where it was measured just now. */
  validation: number | null;
  /** Whether the text was read to its end by the last step. */
  isEpochEnd: boolean;
}

/** What was learnt: the pack's file, and how. */
export interface Learnt {
  bytes: Uint8Array;
  report: PackTraining;
}

/** A pack that is being trained. */
export class Training {
  /** Makes some steps; undefined once all are made, or the engine was told to abort. */
  next(): Promise<TrainingProgress | undefined>;
  /** What was learnt so far. Until the next `next` the engine may do something else, and packs may come and go. */
  pause(): Promise<Learnt>;
  /** Ends it: what was learnt, at the end the best of it. */
  result(): Promise<Learnt>;
  free(): void;
}

/** A row of the kernels' table. */
export interface ConformanceRow {
  /** Its shader in `shaders/`. */
  kernel: string;
  /** How large what it works on is. */
  size: string;
  /** How a table's elements are stored; empty for kernels without one. */
  format: string;
  /** How it is compiled, and what for. */
  variant: string;
  /** The largest error, as a part of what is allowed. */
  error: number;
  isOk: boolean;
  /** What is wrong, in words. */
  wrong: string;
}

/** How it went: rows, rows that are not ok, and what was not run here. */
export interface ConformanceSummary {
  run: number;
  failed: number;
  skipped: string[];
}

/** Runs each kernel alone, or those that are named. Rejects with `invalid-argument` for a name that no kernel has. */
export function conformance(
  tier: "quick" | "short" | "full",
  kernels: string[],
  tell: (row: ConformanceRow) => void,
): Promise<ConformanceSummary>;

/** Has addresses of the disk read by this `fetch`: outside of a page. */
export function readFilesWith(fetch: (url: string, init?: RequestInit) => Promise<Response>): void;

export default function init(options: { module_or_path: WebAssembly.Module }): Promise<unknown>;
