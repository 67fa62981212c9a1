// The options of `generate`: the one table that all who know them are made from.
//
// - This module's room checks arguments by it (options.js), the element reads its attributes by it.
// - build.rs makes of it Rust's options with their defaults and checks, and what the shaders get of them
//   (build/options.rs). Therefore what stands after the equals sign is JSON.
// - `node scripts/options.mjs` writes it into README.md and tokenformer.d.ts.
//
// The columns are described in options.js at `Option`.

// prettier-ignore
/** @type {Readonly<Record<string, Readonly<import("./options.js").Option>>>} */
export const ROWS = {
  "maxTokens": {
    "type": "integer", "min": 1, "max": 9007199254740991, "default": 256, "room": "text",
    "about": "most tokens to write",
    "doc": "Most tokens to write; an integer, at least 1."
  },
  "temperature": {
    "type": "number", "min": 0, "default": 0.8, "room": "sampling", "step": [50, "temperature"],
    "about": "higher is more surprising; 0 always takes the likeliest token",
    "doc": "From 0, which always takes the likeliest token."
  },
  "topNSigma": {
    "type": "number", "min": 0, "default": 0, "room": "sampling", "step": [55, "top-n-sigma"],
    "about": "drop logits more than so many standard deviations below the highest; 0 is off",
    "doc": "Drop logits more than so many standard deviations below the highest; from 0, which is off."
  },
  "topK": {
    "type": "integer", "min": 0, "max": 9007199254740991, "default": 0, "room": "sampling", "step": [60, "top-k"],
    "about": "draw from the k likeliest tokens only; 0 is off",
    "doc": "Draw from the k likeliest tokens; an integer from 0, which is off."
  },
  "topP": {
    "type": "number", "min": 0, "aboveMin": true, "max": 1, "default": 0.95, "room": "sampling", "step": [70, "top-p"],
    "about": "draw from the likeliest tokens that make up this much probability",
    "doc": "Draw from the likeliest tokens that make up this much probability; above 0, at most 1."
  },
  "minP": {
    "type": "number", "min": 0, "max": 1, "belowMax": true, "default": 0, "room": "sampling", "step": [80, "min-p"],
    "about": "drop tokens below this share of the likeliest one's probability",
    "doc": "Drop tokens below this share of the likeliest one's probability; from 0, below 1."
  },
  "xtc": {
    "type": "object", "room": "sampling", "step": [85, "XTC"],
    "about": "now and then, keep only the least likely of the tokens at or above `threshold`: XTC",
    "doc": "XTC: with this probability at each token, keep only the least likely of those at or above the threshold.",
    "fields": {
      "probability": { "type": "number", "min": 0, "max": 1, "default": 0, "about": "how often; 0 is off" },
      "threshold": {
        "type": "number", "min": 0, "max": 1, "default": 0.1, "about": "probability from which on tokens count; above 0.5 is off"
      }
    }
  },
  "repetitionPenalty": {
    "type": "number", "min": 0, "aboveMin": true, "default": 1, "room": "sampling",
    "step": [20, "repetition penalty (prompt and output)"],
    "about": "above 1 discourages tokens of the prompt and the output",
    "doc": "Above 1 discourages tokens of prompt and output; above 0."
  },
  "presencePenalty": {
    "type": "number", "min": -2, "max": 2, "default": 0, "room": "sampling",
    "step": [30, "presence and frequency penalty (output)"],
    "about": "lowers every token that the output has already",
    "doc": "Lowers every token that the output has already; -2 to 2."
  },
  "frequencyPenalty": {
    "type": "number", "min": -2, "max": 2, "default": 0, "room": "sampling",
    "about": "lowers tokens by how often the output has them",
    "doc": "Lowers tokens by how often the output has them; -2 to 2."
  },
  "penaltyRange": {
    "type": "integer", "min": 0, "max": 9007199254740991, "default": 0, "room": "sampling",
    "about": "the three penalties count so many of the last tokens; 0 counts all",
    "doc": "The three penalties count so many of the last tokens; an integer from 0, which counts all."
  },
  "dry": {
    "type": "object", "room": "sampling", "step": [35, "DRY"],
    "about": "lowers tokens that would continue a repeat, the more the longer the repeat is: DRY",
    "doc": "DRY: lowers what would continue a repeat by multiplier * base^(length - allowedLength), from allowedLength on.",
    "fields": {
      "multiplier": { "type": "number", "min": 0, "default": 0, "about": "how much at the allowed length; 0 is off" },
      "base": { "type": "number", "min": 1, "default": 1.75, "about": "by what it grows with each further token" },
      "allowedLength": {
        "type": "integer", "min": 1, "max": 9007199254740991, "default": 2, "about": "tokens of a repeat from which on it counts"
      },
      "range": {
        "type": "integer", "min": 0, "max": 9007199254740991, "default": 0, "about": "last tokens that are looked at; 0: all"
      },
      "breakers": {
        "type": "texts", "default": ["\n", ":", "\"", "*"], "about": "a token that holds one of these ends a repeat"
      }
    }
  },
  "seed": {
    "type": "integer", "min": 0, "max": 9007199254740991, "isWide": true, "room": "sampling",
    "about": "makes the draw repeatable; left out, a random one",
    "doc": "An integer from 0, below 2^53.", "leftOut": "a random one, which the result tells"
  },
  "stop": {
    "type": "texts", "default": [], "room": "text",
    "about": "texts that end the output and are not part of it",
    "doc": "Texts that end the output and are not part of it; none may be empty."
  },
  "logitBias": {
    "type": "biases", "default": {}, "room": "sampling", "step": [40, "logit bias"],
    "about": "numbers added to the logits of token ids",
    "doc": "Numbers added to the logits of token ids."
  },
  "logprobs": {
    "type": "integer", "min": 0, "max": 20, "default": 0, "room": "text",
    "about": "how many likeliest tokens to report with every token",
    "doc": "How many likeliest tokens to report with every token; 0 to 20."
  },
  "heal": {
    "type": "boolean", "default": true, "room": "text", "step": [10, "what the first token may be (`heal`)"],
    "about": "a text that ends in a space goes on with a token that begins with it: the space is not written twice",
    "doc": "A text that ends in a space goes on with a token that begins with it, and the space is not written twice."
  },
  "minTokens": {
    "type": "integer", "min": 0, "max": 9007199254740991, "default": 0, "room": "sampling",
    "step": [12, "no end of the text before `minTokens`"],
    "about": "until so many tokens, neither the end of the text is drawn nor do stop texts end it; at most `maxTokens`",
    "doc": "Tokens before which neither the end of the text is drawn nor stop texts end it; an integer from 0 to maxTokens."
  },
  "finishSentence": {
    "type": "boolean", "default": false, "room": "text",
    "about": "at `maxTokens`, go on to the end of the sentence, for at most 64 tokens",
    "doc": "At maxTokens, go on to the end of the sentence, for at most 64 tokens."
  },
  "banned": {
    "type": "texts", "default": [], "room": "text",
    "about": "phrases that the output must not hold, whatever their case: it is written otherwise from where one begins",
    "doc": "Phrases that the output must not hold, whatever their case; it is written otherwise from where one begins."
  },
  "overflow": {
    "type": "enum", "values": ["stop", "slide"], "default": "stop", "room": "text",
    "about": "when the context is full: end, or go on with its newest half",
    "doc": "When the context is full: end, or go on with its newest half; \"slide\" takes prompts of any length."
  },
  "keep": {
    "type": "integer", "min": 0, "max": 9007199254740991, "default": 0, "room": "text",
    "about": "first tokens that stay in the context when it slides; below a quarter of it",
    "doc": "First tokens that stay in the context when it slides; an integer from 0, below a quarter of it."
  },
  "signal": {
    "type": "signal",
    "about": "ends writing early",
    "doc": "Ends writing early, normally, with finishReason \"abort\".", "leftOut": "none"
  }
};
