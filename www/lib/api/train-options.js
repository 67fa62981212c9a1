// The options of `train` that Rust also needs: the single table from which everything else is generated.
//
// - JavaScript checks arguments against it (options.js).
// - build.rs generates Rust's `TrainOptions` with defaults and checks from it (build/options.rs). Therefore what
//   follows the equals sign must be JSON.
//
// The columns are described in option-checks.js at `Option`.

// prettier-ignore
/** @type {Readonly<Record<string, Readonly<import("./options.js").Option>>>} */
export const ROWS = {
  "tokens": {
    "type": "integer", "min": 1, "max": 256, "default": 16, "room": "training",
    "about": "parameter tokens to add to each Pattention",
    "doc": "Parameter tokens to add to each Pattention; an integer from 1 to 256."
  },
  "kinds": {
    "type": "texts", "default": ["query", "key", "value", "proj", "mlp"], "room": "training",
    "about": "which Pattentions get tokens: some of `query`, `key`, `value`, `proj`, `mlp`",
    "doc": "Which Pattentions get tokens."
  },
  "epochs": {
    "type": "integer", "min": 1, "max": 9007199254740991, "room": "training",
    "about": "how often the text is read; 4 unless `steps` is given",
    "doc": "How often the text is read; an integer, at least 1. Not together with `steps`.", "leftOut": "4, unless `steps` is given"
  },
  "steps": {
    "type": "integer", "min": 1, "max": 4294967295, "room": "training",
    "about": "how many steps to train, instead of `epochs`",
    "doc": "How many steps to train; an integer, at least 1. Not together with `epochs`.", "leftOut": "as many as `epochs` take"
  },
  "sequenceLength": {
    "type": "integer", "min": 2, "max": 9007199254740991, "default": 256, "room": "training",
    "about": "tokens per sequence; all but the first are predicted",
    "doc": "Tokens per sequence, all but the first of which are predicted; an integer from 2 to the context length."
  },
  "batch": {
    "type": "integer", "min": 1, "max": 256, "default": 4, "room": "training",
    "about": "sequences per step",
    "doc": "Sequences per step; an integer from 1 to 256."
  },
  "learningRate": {
    "type": "number", "min": 0, "aboveMin": true, "default": 0.003, "room": "training",
    "about": "AdamW's learning rate",
    "doc": "AdamW's learning rate; above 0."
  },
  "schedule": {
    "type": "enum", "values": ["cosine", "constant"], "default": "cosine", "room": "training",
    "about": "the learning rate after the warm-up: down to 0 along a cosine, or constant",
    "doc": "The learning rate after the warm-up: down to 0 along a cosine, or constant."
  },
  "warmup": {
    "type": "integer", "min": 0, "max": 4294967295, "default": 10, "room": "training",
    "about": "steps in which the learning rate rises from 0",
    "doc": "Steps in which the learning rate rises from 0; an integer, at least 0."
  },
  "weightDecay": {
    "type": "number", "min": 0, "default": 0, "room": "training",
    "about": "AdamW's weight decay",
    "doc": "AdamW's weight decay; from 0."
  },
  "clipNorm": {
    "type": "number", "min": 0, "default": 1, "room": "training",
    "about": "scale larger gradients down to this norm; 0 is off",
    "doc": "Scale larger gradients down to this norm; 0 is off."
  },
  "beta1": {
    "type": "number", "min": 0, "max": 1, "belowMax": true, "default": 0.9, "room": "training",
    "about": "AdamW's β₁",
    "doc": "AdamW's β₁; from 0, below 1."
  },
  "beta2": {
    "type": "number", "min": 0, "max": 1, "belowMax": true, "default": 0.95, "room": "training",
    "about": "AdamW's β₂",
    "doc": "AdamW's β₂; from 0, below 1."
  },
  "epsilon": {
    "type": "number", "min": 0, "aboveMin": true, "default": 1e-8, "room": "training",
    "about": "AdamW's ε",
    "doc": "AdamW's ε; above 0."
  },
  "validation": {
    "type": "number", "min": 0, "max": 1, "belowMax": true, "default": 0.1, "room": "training",
    "about": "fraction at the end of the text held out to find the best epoch; 0 holds out none",
    "doc": "Fraction at the end of the text held out to find the best epoch; at least 0 (none), below 1."
  },
  "seed": {
    "type": "integer", "min": 0, "max": 9007199254740991, "isWide": true, "room": "training",
    "about": "seed of the first values and of the order of sequences; by default a random one",
    "doc": "Seed of the first values and of the order of sequences; an integer from 0 to 2^53 − 1.", "leftOut": "a random one"
  }
}
