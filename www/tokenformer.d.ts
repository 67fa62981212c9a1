// Types of tokenformer.js, written by hand: the contract.

/** Stable codes of {@link TokenFormerError}. */
export type ErrorCode =
  /** The model needs WebGPU, and there is no usable GPU, or the page's policy forbids WebAssembly. */
  | "webgpu-unavailable"
  /** There is no such repository, revision or file, or it is private. */
  | "model-not-found"
  /** The hub requires a token, or this token may not read the model. */
  | "unauthorized"
  /** The hub is limiting requests. */
  | "rate-limited"
  /** A request failed. */
  | "network"
  /** The bytes received are not the right ones, or files of two builds were mixed. */
  | "integrity"
  /** The browser's storage is full. */
  | "quota"
  /** The file is of a kind that this module does not read. */
  | "unsupported-checkpoint"
  /** Configuration, tokenizer and tensors contradict each other, or text was given to a model without a tokenizer. */
  | "invalid-config"
  /** An argument cannot be used; the message names it. */
  | "invalid-argument"
  /** The GPU has no room for the weights, or for the context you asked for; the hint says what fits. */
  | "out-of-memory"
  /** The GPU was lost three times within a minute, or the engine stopped. */
  | "device-lost"
  /** You aborted the call. */
  | "aborted"
  /** The model has been disposed. */
  | "disposed"
  /** A bug in this module. */
  | "internal";

/** What every call of the interface throws or rejects with. `message` is a sentence for people. */
export class TokenFormerError extends Error {
  constructor(code: ErrorCode, message: string, details?: { hint?: string; cause?: unknown });
  readonly name: "TokenFormerError";
  readonly code: ErrorCode;
  /** What to do next, as a sentence. */
  readonly hint: string;
}

/** Precision of a quantized model: q4 has 4-bit tables and an 8-bit embedding, q8 has 8 bits everywhere, f16 is not quantized. */
export type Quantization = "q4" | "q8" | "f16";

/** A list of token ids: integers from 0. */
export type TokenIds = ArrayLike<number> & Iterable<number> & (readonly number[] | IntegerArray);

type IntegerArray = Int8Array | Uint8Array | Uint8ClampedArray | Int16Array | Uint16Array | Int32Array | Uint32Array;

/** A model's shape, in the field names of config.json. */
export interface ModelConfig {
  model_type: "tokenformer";
  num_layers: number;
  hidden_size: number;
  num_attention_heads: number;
  qkv_slot_num: number;
  proj_slot_num: number;
  ffn_slot_num: number;
  padded_vocab_size: number;
  max_position_embeddings: number;
  [field: string]: unknown;
}

export interface LoadProgress {
  phase: "resolve" | "download" | "cache" | "compile" | "ready";
  loadedBytes: number;
  /** null while it is not known. */
  totalBytes: number | null;
  /** null between files. */
  file: string | null;
  fromCache: boolean;
  /** Over the last seconds; null except while downloading. */
  bytesPerSecond: number | null;
  /** An estimate; null except while downloading. */
  secondsLeft: number | null;
  /** What loading waits for, in a sentence: a hub that asks to wait, a host that does not answer. null: nothing. */
  waitingFor: string | null;
}

export interface LoadOptions {
  /** Branch, tag or commit of a hub repository. Default: "main". */
  revision?: string;
  /** Address of the hub, http or https. Default: "https://huggingface.co". */
  endpoint?: string;
  /** Access token; sent to the endpoint only. Default: none. */
  token?: string;
  /** Precision of the weights. Default: that of the folder, q4 for a checkpoint that is not quantized yet. */
  quantization?: Quantization;
  /** The model's shape, where the folder has no usable config.json. Default: none. */
  config?: Partial<ModelConfig>;
  /** Tokens of context, at least 1. Default: the smaller of 2048 and what the model was trained for. */
  contextLength?: number;
  /** Keep downloaded models in the browser's storage. Default: true. */
  cache?: boolean;
  /** Where it computes: "auto" takes the CPU for models of up to 200 million parameters where WebGPU is missing or slower, "webgpu" never does. Default: "auto". */
  backend?: "auto" | "webgpu" | "cpu";
  /** Token packs that take part: what `addPack` takes, or objects `{ pack, strength }`; at most 16. Default: []. */
  packs?: readonly (PackSource | { pack: PackSource; strength?: number })[];
  /** Aborts loading, which then rejects with `aborted`. Default: none. */
  signal?: AbortSignal;
  /** Called with every step of loading. Default: none. */
  onProgress?: (progress: LoadProgress) => void;
}

/** A model in this browser's storage. */
export interface StoredModel {
  id: string;
  /** The commit, or a hash that names the contents of a folder. */
  revision: string;
  quantization: Quantization;
  bytes: number;
  /** False while a part of it is missing: the next load resumes it. */
  complete: boolean;
  /** Milliseconds since 1970. */
  lastUsed: number;
}

/** What `load` would find. */
export interface Availability {
  /** "stored": nothing is downloaded. "unavailable": `reason` says why. */
  state: "stored" | "downloadable" | "unavailable";
  /** Bytes that are still to be downloaded; of a checkpoint its file's, as long as nothing is stored. Null where the host does not say. */
  downloadBytes: number | null;
  /** Bytes in this browser's storage. */
  storedBytes: number;
  /** Where the model would compute; null where it is unavailable. */
  backend: "webgpu" | "cpu" | null;
  /** Why it is unavailable, and what to do; null where it is not. */
  reason: string | null;
}

export interface BenchmarkOptions {
  /** Tokens of the prompt; an integer, at least 1. Default: 512. */
  promptTokens?: number;
  /** Tokens to write; an integer, at least 2. Default: 129. */
  maxTokens?: number;
  /** Measured runs, after one that is not; an integer, at least 1. Default: 5. */
  runs?: number;
  /** 0 is greedy. Default: 0. */
  temperature?: number;
  /** As for `generate`. Default: 1. */
  topP?: number;
  /** Called after every run. Default: none. */
  onProgress?: (progress: BenchmarkProgress) => void;
}

/** How far a benchmark is. */
export interface BenchmarkProgress {
  /** Runs that have ended; 0 is the one that is not measured. */
  run: number;
  /** Runs that are measured in all. */
  runs: number;
  /** Median of those measured so far, and of run 0 as long as there is none. */
  decodeTokensPerSecond: number;
}

/** Median, least and greatest of all runs. */
export interface Spread {
  median: number;
  min: number;
  max: number;
}

export interface BenchmarkResult extends Required<Omit<BenchmarkOptions, "onProgress">> {
  decodeTokensPerSecond: Spread;
  /** To the first token. */
  prefillTokensPerSecond: Spread;
  timeToFirstTokenMs: Spread;
  /** Dispatches of one decode step, choosing the token included. */
  dispatchesPerToken: number;
  /** Bytes of weights that a decode step reads. */
  bytesPerToken: number;
}

/** How a model of random weights computes. */
export interface RandomOptions {
  /** Precision of the weights. Default: "q4". */
  quantization?: Quantization;
  /** Tokens of context. Default: as for `load`. */
  contextLength?: number;
  /** Whether kernels may use subgroups, where the GPU has them. Default: true. */
  subgroups?: boolean;
  /** Whether kernels may compute in half precision, where the GPU can. Default: true. */
  f16?: boolean;
  /** Persistent workgroups that make a decode step, an integer from 0 to 65535; 0 makes it in a dispatch for each product. Default: what is fastest here. */
  workgroups?: number;
  /** Threads of each of these workgroups, an integer from 1 to 1024. Default: as many as are usual. */
  threads?: number;
  /** What they multiply. Default: "int8". */
  arithmetic?: "f32" | "f16" | "int8";
}

/** What a kernel takes of a decode step. */
export interface KernelTime {
  kernel: string;
  dispatches: number;
  microseconds: number;
}

export interface DeleteOptions {
  /** Branch, tag or commit. Default: all. */
  revision?: string;
  /** Precision. Default: all. */
  quantization?: Quantization;
}

export interface GenerateOptions {
  /** Maximum number of tokens to write; an integer, at least 1. Default: 256. */
  maxTokens?: number;
  /** Higher is more surprising; 0 always takes the most likely token. Default: 0.8. */
  temperature?: number;
  /** Keep logits within this many standard deviations of the highest; 0 is off. Default: 0. */
  topNSigma?: number;
  /** Sample from the k most likely tokens only; an integer, 0 is off. Default: 0. */
  topK?: number;
  /** Sample from the most likely tokens that together have this probability; above 0, at most 1. Default: 0.95. */
  topP?: number;
  /** Drop tokens below this fraction of the most likely token's probability; at least 0, below 1. Default: 0. */
  minP?: number;
  /** XTC: with this probability at each token, keep only the least likely of those at or above the threshold. Default: {"probability":0,"threshold":0.1}. */
  xtc?: { probability?: number; threshold?: number };
  /** Above 1 discourages tokens already in the prompt or the output; must be above 0. Default: 1. */
  repetitionPenalty?: number;
  /** Lowers every token already in the output; -2 to 2. Default: 0. */
  presencePenalty?: number;
  /** Lowers tokens by how often the output contains them; -2 to 2. Default: 0. */
  frequencyPenalty?: number;
  /** How many of the last tokens the three penalties look at; an integer, 0 means all. Default: 0. */
  penaltyRange?: number;
  /** DRY: lowers what would continue a repetition of allowedLength or more by multiplier * base^(length - allowedLength). Default: {"multiplier":0,"base":1.75,"allowedLength":2,"range":0,"breakers":["\n",":","\"","*"]}. */
  dry?: { multiplier?: number; base?: number; allowedLength?: number; range?: number; breakers?: readonly string[] };
  /** An integer from 0, below 2^53. Default: a random one, returned with the result. */
  seed?: number;
  /** Strings that end the output and are not part of it; none may be empty. Default: []. */
  stop?: readonly string[];
  /** Numbers added to the logits of token ids. Default: {}. */
  logitBias?: Readonly<Record<number, number>>;
  /** How many of the most likely tokens to report with each token; 0 to 20. Default: 0. */
  logprobs?: number;
  /** Join a prompt's trailing space with the first token, so that it is not written twice. Default: true. */
  heal?: boolean;
  /** Before this many tokens neither the model nor a stop string ends the text; an integer from 0 to maxTokens. Default: 0. */
  minTokens?: number;
  /** At maxTokens, continue to the end of the sentence, for at most 64 tokens. Default: false. */
  finishSentence?: boolean;
  /** Phrases that never appear in the output, in upper or lower case: the text is rewritten from where one begins. Default: []. */
  banned?: readonly string[];
  /** When the context is full: end the text, or drop its older half and continue. "slide" also takes prompts of any length. Default: "stop". */
  overflow?: "stop" | "slide";
  /** How many first tokens stay when the context slides; an integer from 0, below a quarter of it. Default: 0. */
  keep?: number;
  /** Ends the text early, without an error; finishReason is "abort". Default: none. */
  signal?: AbortSignal;
}

export interface AlternativesOptions extends GenerateOptions {
  /** How many texts to write; an integer, 1 to 128. The next one takes the next seed. Default: 1. */
  n?: number;
  /** Each ends the text of its own index alone, with finishReason "abort"; at most n. `signal` ends all. Default: none. */
  signals?: readonly (AbortSignal | null | undefined)[];
}

export interface TopLogprob {
  tokenId: number;
  text: string;
  logprob: number;
}

/** One token. The text may be empty while a character or a possible stop text is held back. */
export interface Chunk {
  text: string;
  tokenId: number;
  /** Natural logarithm, of the unmodified distribution. Present where `logprobs` is above 0. */
  logprob?: number;
  /** Present where `logprobs` is above 0. */
  topLogprobs?: TopLogprob[];
}

/** One token of one of several texts. */
export interface AlternativeChunk extends Chunk {
  /** Which text it belongs to: an integer from 0, below `n`. */
  index: number;
}

export interface Usage {
  promptTokens: number;
  completionTokens: number;
  /** Tokens of the prompt that were still in the context. */
  cachedPromptTokens: number;
  /** Tokens of the prompt that the context held no more at the end; 0 unless `overflow` is "slide". */
  droppedPromptTokens: number;
  /** How often the context slid, a prompt that did not fit included. */
  slides: number;
  /** null where no token was written. */
  timeToFirstTokenMs: number | null;
  /** null where nothing was measured. */
  prefillTokensPerSecond: number | null;
  /** null where nothing was measured. */
  decodeTokensPerSecond: number | null;
}

export interface GenerateResult {
  text: string;
  tokenIds: number[];
  /** "stop": the model or a stop text ended it; "length": maxTokens; "context": the context filled up, unless `overflow` is "slide". */
  finishReason: "stop" | "length" | "abort" | "context";
  /** The seed that was used. */
  seed: number;
  usage: Usage;
}

export interface ScoreOptions {
  /** What comes before the text and is not scored. Default: "". */
  context?: string | TokenIds;
}

export interface ScoreItem extends ScoreOptions {
  text: string | TokenIds;
}

export interface ScoreResult {
  tokenIds: number[];
  /** Natural logarithms; the first is null where the context is empty. */
  logprobs: (number | null)[];
  /** Whether every scored token is the most likely one. */
  isGreedy: boolean;
  /** null where nothing was scored. */
  perplexity: number | null;
}

/** What the browser says about the GPU; empty strings where it says nothing, and on the CPU. */
export interface Adapter {
  vendor: string;
  architecture: string;
  device: string;
  description: string;
}

/** Where in a layer a token pack has tokens. */
export type PackKind = "query" | "key" | "value" | "proj" | "mlp";

/** A parameter token of a model. */
export interface ParameterToken {
  /** From 0. */
  layer: number;
  /** Which part of the layer it belongs to. */
  kind: PackKind;
  /** Its number there, from 0, among the model's own or those of a pack. */
  slot: number;
  /** The name of the pack that it belongs to. Default: none; it is one of the model's own. */
  pack?: string;
}

export interface InspectOptions {
  /** Layers to look at, from 0. Default: all. */
  layers?: readonly number[];
  /** Which parts of each layer. Default: all. */
  kinds?: readonly PackKind[];
  /** How many parameter tokens of each place, 1 to 64. Default: 8. */
  top?: number;
  /** A position in the text, in tokens from 0, or several. Position t writes token t + 1. Default: the last. */
  position?: number | readonly number[];
}

/** A parameter token that takes part in what is written. */
export interface FiredToken {
  slot: number;
  /** The pack that it belongs to, if it is none of the model's own. */
  pack?: string;
  /** How well its key fits: s / ‖s‖₂ · √n; with another activation than `l2_norm_gelu` just s. */
  score: number;
  /** What is made of that, times what `ablate` set: gelu of the score. */
  activation: number;
  /** How much it writes: the activation's magnitude times the length of its value, for a pack times its strength. */
  contribution: number;
}

/** The strongest parameter tokens of a place. */
export interface Inspected {
  position: number;
  layer: number;
  kind: PackKind;
  /** The one that contributes most comes first. */
  top: FiredToken[];
}

/** What a parameter token pushes up and down most. `text` is empty without a tokenizer. */
export interface Promotes {
  /** The highest logit first. */
  up: { tokenId: number; text: string; logit: number }[];
  /** The lowest first. */
  down: { tokenId: number; text: string; logit: number }[];
}

export interface Ablation extends ParameterToken {
  /** What its activation is multiplied by, -1000 to 1000; 1 changes nothing. Default: 0. */
  scale?: number;
}

/** The model that a pack was trained for. */
export interface PackBase {
  id?: string;
  revision?: string;
  /** Its shape, in the field names of config.json. */
  shape?: Partial<ModelConfig>;
}

/** How a pack was trained. Losses are means over tokens of the negative natural logarithm of their probability. */
export interface PackTraining {
  /** Tokens that were read, each as often as it was read. */
  tokensSeen: number;
  tokensPerSecond: number;
  /** Of each step, the mean over its batch, before the step changed anything. */
  loss: number[];
  /** The loss of the text that was kept back; null where none was. */
  validation: { before: number; after: number } | null;
  /** Why it was stopped early, as where the loss rose; null where it was not. */
  message?: string | null;
}

/** Parameter tokens that a model learnt, which take part in another one of the same shape. It does not change. */
export interface TokenPack {
  /** What it goes by in a model. */
  readonly name: string;
  /** How much it counts: 1 as it was learnt, 0 not at all. */
  readonly strength: number;
  readonly kinds: readonly PackKind[];
  /** Tokens that a layer gets of each kind. */
  readonly tokens: number;
  /** Size of its file. */
  readonly bytes: number;
  /** null where its file does not tell. */
  readonly base: PackBase | null;
  /** null where its file does not tell. */
  readonly training: PackTraining | null;
  /** Its file: a safetensors file. */
  toBlob(): Blob;
}

/** A pack, its file, the file's address, or a repository "owner/name" of the hub, which has it as pack.safetensors. */
export type PackSource = TokenPack | Blob | string;

export interface PackOptions {
  /** How much the pack counts, -4 to 4: 0 is off, below 0 the opposite. Default: what its file says, else 1. */
  strength?: number;
  /** What the pack goes by, 1 to 120 characters. Default: as its file says or is called. */
  name?: string;
}

/** Where a training is. */
export interface TrainProgress {
  /** Steps that are made. */
  step: number;
  steps: number;
  /** The epoch of the step, from 1; 0 before the first step. */
  epoch: number;
  /** The loss of the step's batch, before the step changed anything; null before the first step. */
  loss: number | null;
  /** The loss of the text that is kept back, as it was measured last; null where there is none. */
  validation: number | null;
  tokensPerSecond: number;
  /** An estimate; null before the first step. */
  secondsLeft: number | null;
}

/** What was learnt until an epoch's end. */
export interface TrainEpoch {
  epoch: number;
  step: number;
  steps: number;
  pack: TokenPack;
}

export interface TrainOptions {
  /** Parameter tokens to add to each Pattention; an integer from 1 to 256. Default: 16. */
  tokens?: number;
  /** Which Pattentions get tokens. Default: ["query","key","value","proj","mlp"]. */
  kinds?: readonly string[];
  /** How often the text is read; an integer, at least 1. Not together with `steps`. Default: 4, unless `steps` is given. */
  epochs?: number;
  /** How many steps to train; an integer, at least 1. Not together with `epochs`. Default: as many as `epochs` take. */
  steps?: number;
  /** Tokens per sequence, all but the first of which are predicted; an integer from 2 to the context length. Default: 256. */
  sequenceLength?: number;
  /** Sequences per step; an integer from 1 to 256. Default: 4. */
  batch?: number;
  /** AdamW's learning rate; above 0. Default: 0.003. */
  learningRate?: number;
  /** The learning rate after the warm-up: down to 0 along a cosine, or constant. Default: "cosine". */
  schedule?: "cosine" | "constant";
  /** Steps in which the learning rate rises from 0; an integer, at least 0. Default: 10. */
  warmup?: number;
  /** AdamW's weight decay; from 0. Default: 0. */
  weightDecay?: number;
  /** Scale larger gradients down to this norm; 0 is off. Default: 1. */
  clipNorm?: number;
  /** AdamW's β₁; from 0, below 1. Default: 0.9. */
  beta1?: number;
  /** AdamW's β₂; from 0, below 1. Default: 0.95. */
  beta2?: number;
  /** AdamW's ε; above 0. Default: 1e-8. */
  epsilon?: number;
  /** Fraction at the end of the text held out to find the best epoch; at least 0 (none), below 1. Default: 0.1. */
  validation?: number;
  /** Seed of the first values and of the order of sequences; an integer from 0 to 2^53 − 1. Default: a random one. */
  seed?: number;
  /** A pack to continue training, which decides `tokens` and `kinds`. Default: none. */
  pack?: PackSource;
  /** What the pack goes by, 1 to 120 characters. Default: that of `pack`, else a free one. */
  name?: string;
  /** Ends training with what was learnt so far. Default: none. */
  signal?: AbortSignal;
  /** Called as steps are made. Default: none. */
  onProgress?: (progress: TrainProgress) => void;
  /** Called after each epoch with what was learnt so far; training waits for it, and the model can be used. Default: none. */
  onEpoch?: (learnt: TrainEpoch) => unknown;
}

/** A snapshot. */
export interface ModelInfo {
  /** "owner/name", the folder's address, or the embedded model's name. */
  id: string;
  /** The commit, or, of a folder, a hash that names its contents. */
  revision: string;
  config: ModelConfig;
  quantization: Quantization;
  /** Where it computes: on the CPU it is slower, and `notes` say why it is there. */
  backend: "webgpu" | "cpu";
  /** Where the engine runs: in a worker, or, where that is not possible, on the thread that loaded the model. */
  thread: "worker" | "main";
  adapter: Adapter;
  /** What is used that not every device has: "subgroups" and "shader-f16" of WebGPU, "simd128" on the CPU. */
  features: string[];
  /** Which variants of the kernels were chosen. */
  variants: string[];
  notes: string[];
  /** The token packs that take part. */
  packs: { name: string; strength: number; tokens: number; bytes: number }[];
  contextLength: number;
  weightBytes: number;
  kvBytes: number;
  /** 0 after `dispose`, and on the CPU, where `wasmHeapBytes` has weights and cache. */
  gpuBytes: number;
  wasmHeapBytes: number;
}

/** Parameters of {@link Completions.create}: those of OpenAI's text completions. null means left out. */
export interface CompletionParams {
  /** The model's `info.id`, or left out. */
  model?: string | null;
  /** A text, token ids, or an array of either. Default: "", which stands for the beginning of a text. */
  prompt?: string | TokenIds | readonly string[] | readonly TokenIds[] | null;
  /** Maximum number of tokens to write; an integer, 0 only with `echo`. Default: 16. */
  max_tokens?: number | null;
  /** Higher is more surprising; 0 always takes the most likely token. Default: 1. */
  temperature?: number | null;
  /** Above 0, at most 1. Default: 1. */
  top_p?: number | null;
  /** Choices for each prompt, 1 to 128. Default: 1. */
  n?: number | null;
  /** Resolve to an async iterable of chunks. Default: false. */
  stream?: boolean | null;
  /** With `stream`: whether a last chunk reports the usage. */
  stream_options?: { include_usage?: boolean } | null;
  /** How many of the most likely tokens to report, 0 to 20; 0 reports only the chosen one. Default: none. */
  logprobs?: number | null;
  /** Begin the text, and `logprobs`, with the prompt. Default: false. */
  echo?: boolean | null;
  /** -2 to 2. Default: 0. */
  presence_penalty?: number | null;
  /** -2 to 2. Default: 0. */
  frequency_penalty?: number | null;
  /** Numbers added to the logits of token ids. Default: {}. */
  logit_bias?: Readonly<Record<number, number>> | null;
  /** An integer from 0, below 2^53. Default: a random one. */
  seed?: number | null;
  /** A text, or texts, that end the output and are not part of it. Default: []. */
  stop?: string | readonly string[] | null;
  /** Not of the protocol: as `topK` of `generate`. Default: 0. */
  top_k?: number | null;
  /** Not of the protocol: as `minP` of `generate`. Default: 0. */
  min_p?: number | null;
  /** Not of the protocol: as `repetitionPenalty` of `generate`. Default: 1. */
  repetition_penalty?: number | null;
  /** Not of the protocol: as `heal` of `generate`. Default: true. */
  heal?: boolean | null;
  /** Ignored: there is no server that could use it. */
  user?: string | null;
  /** Only the same as `n`. */
  best_of?: number | null;
  /** Only an empty one. */
  suffix?: "" | null;
}

/** Lists with an element for every token. */
export interface CompletionLogprobs {
  tokens: string[];
  /** Natural logarithms; null for the first token of a prompt, which follows nothing. */
  token_logprobs: (number | null)[];
  /** The most likely tokens by their texts, and the chosen one; null where none was asked for, and for that first token. */
  top_logprobs: (Record<string, number> | null)[];
  /** Where each token's text begins in the choice's. */
  text_offset: number[];
}

export interface CompletionChoice {
  text: string;
  index: number;
  logprobs: CompletionLogprobs | null;
  /** "length" also where the context filled up; null in a chunk that is not the choice's last. */
  finish_reason: "stop" | "length" | null;
}

export interface CompletionUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
}

/** An answer, or a chunk of one. */
export interface TextCompletion {
  id: string;
  object: "text_completion";
  /** Seconds since 1970. */
  created: number;
  model: string;
  choices: CompletionChoice[];
  /** In chunks only if `stream_options` ask for it: in the last one, null before. */
  usage?: CompletionUsage | null;
}

/** Text completions as OpenAI's clients speak them: a model stands where such code has its client. */
export interface Completions {
  /** What is not supported is `invalid-argument`; an abort rejects with `aborted`. */
  create(
    params: CompletionParams & { stream: true },
    request?: { signal?: AbortSignal },
  ): Promise<AsyncGenerator<TextCompletion, void, undefined>>;
  create(
    params: CompletionParams & { stream?: false | null },
    request?: { signal?: AbortSignal },
  ): Promise<TextCompletion & { usage: CompletionUsage }>;
  /** Where only the value of `stream` decides. */
  create(
    params: CompletionParams,
    request?: { signal?: AbortSignal },
  ): Promise<(TextCompletion & { usage: CompletionUsage }) | AsyncGenerator<TextCompletion, void, undefined>>;
}

/**
 * A loaded model. Calls queue in order; a generator holds the queue from its first `next` to its end.
 * Inside a loop over a generator only `encode`, `decode`, `info` and `dispose` may be awaited: every
 * other call waits for the generator, which waits for the loop.
 */
export class TokenFormer {
  private constructor();

  /**
   * The address of the folder that holds worker, glue, wasm and `models/`, to be set before the first load: a string or
   * a URL, relative to the page; null takes it back. Left out, it is what a script tag of the page has in `data-assets`,
   * or the folder of the module's own address. Reads as an absolute address, or null.
   */
  static get assets(): string | null;
  static set assets(folder: string | URL | null);

  /**
   * Loads a model: a hub repository "owner/name", the address of a folder (absolute, or beginning
   * with "/", "./" or "../"), or, without a name, the embedded one. Outside of a page such an address is a path.
   */
  static load(name?: string, options?: LoadOptions): Promise<TokenFormer>;

  /**
   * For benchmarks: a model of a published shape ("Haiyang-W/TokenFormer-450M") with random weights, made without a
   * download: as fast as the real one, and without sense.
   */
  static random(id: string, options?: RandomOptions): Promise<TokenFormer>;

  /**
   * What `load` would find, without fetching weights, tokenizer or engine. Rejects with `invalid-argument` alone, for what
   * `load` would refuse, too.
   */
  static availability(name?: string, options?: LoadOptions): Promise<Availability>;

  /** What is stored in this browser, the last used first. */
  static models(): Promise<StoredModel[]>;

  /** Deletes what is stored of a model and resolves to the bytes that this freed. */
  static delete(id: string, options?: DeleteOptions): Promise<number>;

  /** Bytes that this origin uses and may use, and whether they are protected from automatic clean-up. */
  static storage(): Promise<{ usage: number; quota: number; persisted: boolean }>;

  /** Asks the browser to protect what is stored from automatic clean-up. Firefox asks the visitor: do not wait for it while loading. */
  static persist(): Promise<boolean>;

  /** Always allowed, also after `dispose`. */
  readonly info: ModelInfo;

  /** Continues a prompt. Mistakes in the arguments reject the first `next`. Leaving the loop early frees everything. */
  generate(prompt: string | TokenIds, options?: GenerateOptions): AsyncGenerator<Chunk, GenerateResult, undefined>;

  /** Continues a prompt and resolves to the whole. */
  complete(prompt: string | TokenIds, options?: GenerateOptions): Promise<GenerateResult>;

  /**
   * Continues a prompt in `n` ways at once, in less time than one after another. Text i is that of `complete` with the seed
   * `seed + i`; after 2^53 - 1 comes 0. Chunks of all texts come mixed; the results are in the order of `index`. After an
   * abort comes what was written until then. Leaving the loop early frees everything.
   */
  alternatives(
    prompt: string | TokenIds,
    options?: AlternativesOptions,
  ): AsyncGenerator<AlternativeChunk, GenerateResult[], undefined>;

  /** For code that speaks the protocol of OpenAI's text completions. */
  readonly completions: Completions;

  /**
   * For clients that take a `fetch`: answers requests as a server of OpenAI's API would, without a network. Paths end in
   * /v1/completions, /v1/models, /tokenize or /detokenize, whatever the host. Works detached from the model. Errors are
   * responses in OpenAI's form; an abort rejects with the signal's reason, as `fetch` does.
   */
  readonly fetch: (input: RequestInfo | URL, init?: RequestInit) => Promise<Response>;

  /** How likely every token of a text is. Items that begin alike, in any order, share what that takes. */
  score(text: string | TokenIds, options?: ScoreOptions): Promise<ScoreResult>;
  score(items: readonly ScoreItem[]): Promise<ScoreResult[]>;

  /** The logits after the last token: one for every id of the padded vocabulary. */
  logits(tokenIds: TokenIds): Promise<Float32Array>;

  encode(text: string): Promise<number[]>;
  decode(tokenIds: TokenIds): Promise<string>;

  /** The token packs that take part, in the order of their names. */
  readonly packs: readonly TokenPack[];

  /**
   * Adds a token pack, replacing one of the same name; resolves to it. At most 16 can be added, in any order. The context
   * is forgotten, as by the next two.
   */
  addPack(pack: PackSource, options?: PackOptions): Promise<TokenPack>;

  /** Changes how much a pack counts, -4 to 4; at 0 the model is exactly as without it. */
  setPack(name: string, options: { strength: number }): Promise<void>;

  /** Removes a pack. */
  removePack(name: string): Promise<void>;

  /**
   * Learns the manner of a text: trains parameter tokens beside the model's own, which stay as they are, and so do packs
   * already added. Resolves to the pack, which is not added; after an abort, to what was learnt until then.
   */
  train(text: string | TokenIds | readonly { text: string }[], options?: TrainOptions): Promise<TokenPack>;

  /**
   * Which parameter tokens write: those that contribute most at each position asked for, in each layer and kind, in the order
   * of asking. What the model read from the first of the positions on is forgotten.
   */
  inspect(text: string | TokenIds, options?: InspectOptions): Promise<Inspected[]>;

  /** The tokens that a parameter token of kind "proj" or "mlp" pushes up and down; `top`: 1 to 1000 each way, 10 if left out. */
  promotes(token: ParameterToken, options?: { top?: number }): Promise<Promotes>;

  /**
   * Multiplies the activations of these parameter tokens until the next call, and of no others; scores are measured as before.
   * An empty array gives exactly the model back. The context is forgotten. Packs may come and go meanwhile.
   */
  ablate(tokens: readonly Ablation[]): Promise<void>;

  /** Measures how fast the model is here, with prompts of arbitrary tokens. The context is forgotten. */
  benchmark(options?: BenchmarkOptions): Promise<BenchmarkResult>;

  /**
   * For benchmarks: the kernels of a step, of one token, of a prompt or of several texts, and their time; null on the CPU,
   * and where the GPU measures no time.
   */
  kernelTimes(timed?: "decode" | { prefill: number } | { several: number }): Promise<KernelTime[] | null>;

  /** What the model saw last: the ids in its KV cache, in order. The token drawn last may be missing. */
  context(): Promise<number[]>;

  /** Forgets the context: a seed then gives the same text again. */
  reset(): Promise<void>;

  /** Aborts every call and frees everything. Calling it again changes nothing. */
  dispose(): Promise<void>;
}

/** Events of <token-former>. None of them bubbles; `input`, which reports changes of the text, does. */
export interface TokenFormerEventMap {
  /** The model is loaded. */
  load: CustomEvent<TokenFormer>;
  /** A step of loading. */
  progress: CustomEvent<LoadProgress>;
  /** A token was written. */
  token: CustomEvent<Chunk>;
  /** A text ended. */
  done: CustomEvent<GenerateResult>;
  /** A call failed; it rejects with the same. */
  error: CustomEvent<TokenFormerError>;
  /** `alternatives` wrote a token of one of several continuations. */
  alternative: CustomEvent<AlternativeChunk>;
  /** A button or key is about to call what `detail` says; `preventDefault` keeps it from that. `start`: where it would write. */
  beforegenerate: CustomEvent<{ call: "generate" | "regenerate"; start: number }>;
}

/** A stretch of the element's text. */
export interface Passage {
  text: string;
  /** Whether the model wrote it. */
  written: boolean;
}

/** A stretch of the element's text, or a token of the model's, with what is known of it. */
export type Part = Passage & Partial<Pick<Chunk, "tokenId" | "logprob" | "topLogprobs">>;

type ElementOptions = Omit<LoadOptions, "cache" | "signal" | "onProgress"> &
  Omit<GenerateOptions, "heal" | "stop" | "signal">;

/**
 * Attributes of <token-former> as properties: assigning one sets the attribute, null takes it away. The attribute's own name
 * (`"max-tokens"`) is a property as well. What an attribute says that cannot be read is null here.
 */
export type TokenFormerOptionProperties = { -readonly [K in keyof ElementOptions]-?: ElementOptions[K] | null };

/** What the model reads instead of `text`, with options that go before the attributes; null: the text itself. */
export type Compose = (text: string, model: TokenFormer) => Composed | null | Promise<Composed | null>;
/** A prompt, alone or with options of `generate`. */
export type Composed = string | ({ prompt: string } & GenerateOptions);

/** Where a word is explained, for its card in the token view; null for no link. `at`: UTF-16 units of `text` before the word. */
export type WordLink = (word: { text: string; at: number }) => { href: string | URL; label: string } | null;

/** The element <token-former>. Besides the events of the map it reports changes of its text by `input`, which bubbles. */
export interface TokenFormerElement extends HTMLElement, TokenFormerOptionProperties {
  /** The loaded model, or null. Setting it sets the attribute `model`, or removes it: frameworks assign properties. */
  get model(): TokenFormer | null;
  set model(name: string | URL | null);
  /** What it does. The same can be styled by: `token-former:state(writing)`. */
  readonly state: "idle" | "loading" | "writing";
  /** The text to start with. Setting another one starts over and cannot be undone. */
  prompt: string | null;
  /** Load the model as soon as the element is in a document. */
  autoload: boolean;
  /** Show tokens instead of the editable text. */
  tokenView: boolean;
  /** Do not keep downloaded models in the browser's storage. */
  noCache: boolean;
  /** Take a text that ends in a space as it is. */
  noHeal: boolean;
  /** Address of the folder that holds worker, wasm and models. The first element that loads sets it for all. */
  get assets(): string | null;
  set assets(folder: string | URL | null);
  /** The whole text, the visitor's and the model's. Setting another one can be undone; setting the same changes nothing. */
  get text(): string;
  set text(text: string | null);
  /**
   * The text with who wrote what, to be kept and set again. Setting others starts over and cannot be undone; setting the
   * same changes nothing.
   */
  get passages(): Passage[];
  set passages(passages: Iterable<Passage> | null);
  /**
   * Makes of a text what the model reads instead, such as a memory before it, and other options for that; null stands for
   * the text itself. It is called for each text that is written.
   */
  compose: Compose | null;
  /** Gives the cards of the token view a link, such as to a page that explains the word. Called when a card opens. */
  wordLink: WordLink | null;
  /**
   * Where in the text the model's memory begins, in UTF-16 units: a faint line shows it. It goes with the text around it, and
   * is null, as at first, where there is none.
   */
  seenFrom: number | null;
  /** Called with every `token` event. */
  ontoken: ((this: TokenFormerElement, event: CustomEvent<Chunk>) => unknown) | null;
  /** Called with every `done` event. */
  ondone: ((this: TokenFormerElement, event: CustomEvent<GenerateResult>) => unknown) | null;
  /** Loads the model that the attributes name, unless it is the loaded one. */
  load(): Promise<TokenFormer>;
  /** Continues `prompt`, which becomes the text, or the text itself; loads first if needed. */
  generate(prompt?: string | TokenIds): Promise<GenerateResult>;
  /**
   * Replaces the model's last passage, and removes what follows it; without one, as `generate`. `undo` brings both back.
   */
  regenerate(): Promise<GenerateResult>;
  /**
   * Writes `n` continuations of `prompt`, or of the text, side by side. None enters the text: the event `alternative`
   * reports every token, and `splice` inserts the chosen one.
   */
  alternatives(options: AlternativesOptions & { prompt?: string }): Promise<GenerateResult[]>;
  /** Replaces the text from `start` to `end` with passages, or tokens of the model's; `undo` takes it back. */
  splice(start: number, end: number, parts: Iterable<Part>): void;
  /** Where the caret stands in the text, in UTF-16 code units, or what is selected begins. */
  selectionStart: number;
  /** Where a place of the text is seen in the window, as a line of no width; null in the token view, or if it is not seen. */
  rectAt(place: number): DOMRect | null;
  /**
   * Ends the text that is being written, or the loading before it. Setting it sets the attribute `stop`, or removes it:
   * frameworks assign properties.
   */
  get stop(): () => void;
  set stop(texts: readonly string[] | string | null);
  /** Puts the keyboard where the text is. */
  focus(options?: FocusOptions): void;
  /** Takes back the last change, typed or written; false where there is none. */
  undo(): boolean;
  /** Makes the change again that `undo` took back; false where there is none. */
  redo(): boolean;
  /** Puts the attribute's prompt back and makes the model forget. */
  reset(): Promise<void>;

  addEventListener<K extends keyof TokenFormerEventMap>(
    type: K,
    listener: (this: TokenFormerElement, event: TokenFormerEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener<K extends Exclude<keyof HTMLElementEventMap, keyof TokenFormerEventMap>>(
    type: K,
    listener: (this: TokenFormerElement, event: HTMLElementEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof TokenFormerEventMap>(
    type: K,
    listener: (this: TokenFormerElement, event: TokenFormerEventMap[K]) => unknown,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | EventListenerOptions,
  ): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "token-former": TokenFormerElement;
  }
}

// ---- In templates -------------------------------------------------------------------------------

/** "maxTokens" → "max-tokens". */
type Kebab<Name extends string> = Name extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? First : `-${Lowercase<First>}`}${Kebab<Rest>}`
  : Name;

/** What a template may say for a property: its value, or the attribute's text. */
type Written<Value> = Value extends string | null | undefined
  ? Value
  : Value extends boolean
    ? Value | ""
    : Value extends number
      ? Value | `${number}`
      : Value | string;

type AttributeProperties = TokenFormerOptionProperties &
  Pick<TokenFormerElement, "prompt" | "autoload" | "tokenView" | "noCache" | "noHeal">;

/** The attributes of <token-former> by either name, `max-tokens` and `maxTokens`, and its properties. */
export type TokenFormerAttributes = {
  [K in keyof AttributeProperties as K | Kebab<K>]?: Written<AttributeProperties[K]> | null | undefined;
} & {
  /** The model's name: a repository of the hub, or a folder's address. Default: the embedded model. */
  model?: string | URL | null | undefined;
  /** Address of the folder that holds worker, wasm and models. The first element that loads sets it for all. */
  assets?: string | URL | null | undefined;
  /** Texts that end the output and are not part of it, or the same as JSON. Default: []. */
  stop?: readonly string[] | string | null | undefined;
  /** The whole text. Bind it with `input` and `done`, which tell of changes. */
  text?: string | null | undefined;
  /** The text with who wrote what. */
  passages?: Iterable<Passage> | null | undefined;
  /** Makes of a text what the model reads in its place. */
  compose?: Compose | null | undefined;
  /** Gives the cards of the token view a link. */
  wordLink?: WordLink | null | undefined;
  /** Where in the text the model's memory begins. */
  seenFrom?: number | null | undefined;
};

type FromElement<E> = E & { readonly currentTarget: TokenFormerElement };
type Handler<E> = ((event: FromElement<E>) => void) | null | undefined;

/** Handlers as React, Preact and Svelte take them: `ondone`. React's own `onLoad`, `onProgress` and `onError` are never called. */
export type TokenFormerHandlers = {
  [K in keyof TokenFormerEventMap as `on${K}`]?: Handler<TokenFormerEventMap[K]>;
} & {
  /** The text was edited, undone or set. */
  oninput?: Handler<Event>;
};

/** What JSX may say of <token-former>, besides what it may say of every element. */
export type TokenFormerProps = TokenFormerAttributes & TokenFormerHandlers;

/** What JSX refuses: React's own events, which wait for what bubbles, and what <token-former> takes with another type. */
type NotOfElement = keyof TokenFormerProps | "onLoad" | "onProgress" | "onError";

/** Handlers as Vue takes them, whose `@done` is `onDone`, and Preact as well. */
type Listeners = {
  [K in keyof TokenFormerEventMap as `on${Capitalize<K>}`]?: (event: FromElement<TokenFormerEventMap[K]>) => void;
};

/** Handlers as Svelte 4 takes them. */
type Directives = {
  [K in keyof TokenFormerEventMap as `on:${K}`]?: Handler<TokenFormerEventMap[K]>;
};

// Of the frameworks, a project has one. TypeScript passes over what is said of the others, but for errors that are ignored
// here line by line.

// @ts-ignore
declare module "react" {
  namespace JSX {
    interface IntrinsicElements {
      "token-former": TokenFormerProps &
        // @ts-ignore
        Omit<import("react").HTMLAttributes<TokenFormerElement>, NotOfElement> &
        // @ts-ignore
        import("react").ClassAttributes<TokenFormerElement>;
    }
  }
}

// @ts-ignore
declare module "preact" {
  namespace JSX {
    interface IntrinsicElements {
      "token-former": TokenFormerProps &
        Listeners &
        // @ts-ignore
        Omit<import("preact").HTMLAttributes<TokenFormerElement>, NotOfElement> &
        // @ts-ignore
        import("preact").ClassAttributes<TokenFormerElement>;
    }
  }
}

// @ts-ignore
declare module "vue" {
  interface GlobalComponents {
    "token-former": new () => {
      $props: TokenFormerAttributes &
        Listeners &
        // @ts-ignore
        Omit<import("vue").HTMLAttributes, NotOfElement> &
        // @ts-ignore
        import("vue").PublicProps;
      $slots: Record<"default" | "heading" | "controls" | "status" | "margin" | "choices" | "fallback", () => unknown>;
    };
  }
}

// @ts-ignore
declare module "svelte/elements" {
  interface SvelteHTMLElements {
    "token-former": TokenFormerProps &
      Directives &
      // @ts-ignore
      Omit<import("svelte/elements").HTMLAttributes<TokenFormerElement>, NotOfElement | keyof Directives>;
  }
}
