// The options of `generate`: the single table that everything else is generated from or checked against.
//
// - JavaScript checks arguments against it (options.js), the element reads its attributes by it.
// - build.rs generates Rust's options with their defaults and checks from it, and the fields that the shaders get
//   (build/options.rs). Therefore what follows the equals sign must be JSON.
// - `node scripts/options.mjs` writes it into docs/ and tokenformer.d.ts.
//
// The columns are described in option-checks.js at `Option`.

// prettier-ignore
/** @type {Readonly<Record<string, Readonly<import("./options.js").Option>>>} */
export const ROWS = {
  "maxTokens": {
    "type": "integer", "min": 1, "max": 9007199254740991, "default": 256, "room": "text",
    "about": "maximum number of tokens to write",
    "doc": "Maximum number of tokens to write; an integer, at least 1."
  },
  "temperature": {
    "type": "number", "min": 0, "default": 0.8, "room": "sampling", "step": [50, "temperature"],
    "about": "higher is more surprising; 0 always takes the most likely token",
    "doc": "Higher is more surprising; 0 always takes the most likely token."
  },
  "topNSigma": {
    "type": "number", "min": 0, "default": 0, "room": "sampling", "step": [55, "top-n-sigma"],
    "about": "keep logits within this many standard deviations of the highest; 0 is off",
    "doc": "Keep logits within this many standard deviations of the highest; 0 is off."
  },
  "topK": {
    "type": "integer", "min": 0, "max": 9007199254740991, "default": 0, "room": "sampling", "step": [60, "top-k"],
    "about": "sample from the k most likely tokens only; 0 is off",
    "doc": "Sample from the k most likely tokens only; an integer, 0 is off."
  },
  "topP": {
    "type": "number", "min": 0, "aboveMin": true, "max": 1, "default": 0.95, "room": "sampling", "step": [70, "top-p"],
    "about": "sample from the most likely tokens that together have this probability",
    "doc": "Sample from the most likely tokens that together have this probability; above 0, at most 1."
  },
  "minP": {
    "type": "number", "min": 0, "max": 1, "belowMax": true, "default": 0, "room": "sampling", "step": [80, "min-p"],
    "about": "drop tokens below this fraction of the most likely token's probability",
    "doc": "Drop tokens below this fraction of the most likely token's probability; at least 0, below 1."
  },
  "xtc": {
    "type": "object", "room": "sampling", "step": [85, "XTC"],
    "about": "XTC: sometimes keep only the least likely of the tokens above a threshold",
    "doc": "XTC: with this probability at each token, keep only the least likely of those at or above the threshold.",
    "fields": {
      "probability": { "type": "number", "min": 0, "max": 1, "default": 0, "about": "how often it applies; 0 is off" },
      "threshold": {
        "type": "number", "min": 0, "max": 1, "default": 0.1, "about": "the least probability that counts; above 0.5 is off"
      }
    }
  },
  "repetitionPenalty": {
    "type": "number", "min": 0, "aboveMin": true, "default": 1, "room": "sampling",
    "step": [20, "repetition penalty (prompt and output)"],
    "about": "above 1 discourages tokens already in the prompt or the output",
    "doc": "Above 1 discourages tokens already in the prompt or the output; must be above 0."
  },
  "presencePenalty": {
    "type": "number", "min": -2, "max": 2, "default": 0, "room": "sampling",
    "step": [30, "presence and frequency penalty (output)"],
    "about": "lowers every token already in the output",
    "doc": "Lowers every token already in the output; -2 to 2."
  },
  "frequencyPenalty": {
    "type": "number", "min": -2, "max": 2, "default": 0, "room": "sampling",
    "about": "lowers tokens by how often the output contains them",
    "doc": "Lowers tokens by how often the output contains them; -2 to 2."
  },
  "penaltyRange": {
    "type": "integer", "min": 0, "max": 9007199254740991, "default": 0, "room": "sampling",
    "about": "how many of the last tokens the three penalties look at; 0 means all",
    "doc": "How many of the last tokens the three penalties look at; an integer, 0 means all."
  },
  "dry": {
    "type": "object", "room": "sampling", "step": [35, "DRY"],
    "about": "DRY: lowers tokens that would continue a repetition, more the longer it is",
    "doc": "DRY: lowers what would continue a repetition of allowedLength or more by multiplier * base^(length - allowedLength).",
    "fields": {
      "multiplier": { "type": "number", "min": 0, "default": 0, "about": "the penalty at the allowed length; 0 is off" },
      "base": { "type": "number", "min": 1, "default": 1.75, "about": "the factor for each further token" },
      "allowedLength": {
        "type": "integer", "min": 1, "max": 9007199254740991, "default": 2, "about": "length from which a repetition is penalized"
      },
      "range": {
        "type": "integer", "min": 0, "max": 9007199254740991, "default": 0, "about": "how many of the last tokens are searched; 0 means all"
      },
      "breakers": {
        "type": "texts", "default": ["\n", ":", "\"", "*"], "about": "a token that contains one of these ends a repetition"
      }
    }
  },
  "seed": {
    "type": "integer", "min": 0, "max": 9007199254740991, "isWide": true, "room": "sampling",
    "about": "makes the text repeatable; by default a random seed",
    "doc": "An integer from 0, below 2^53.", "leftOut": "a random one, returned with the result"
  },
  "stop": {
    "type": "texts", "default": [], "room": "text",
    "about": "strings that end the output; they are not part of it",
    "doc": "Strings that end the output and are not part of it; none may be empty."
  },
  "logitBias": {
    "type": "biases", "default": {}, "room": "sampling", "step": [40, "logit bias"],
    "about": "numbers added to the logits of token ids",
    "doc": "Numbers added to the logits of token ids."
  },
  "logprobs": {
    "type": "integer", "min": 0, "max": 20, "default": 0, "room": "text",
    "about": "how many of the most likely tokens to report with each token",
    "doc": "How many of the most likely tokens to report with each token; 0 to 20."
  },
  "heal": {
    "type": "boolean", "default": true, "room": "text", "step": [10, "bar first tokens without the space (`heal`)"],
    "about": "join a prompt's trailing space with the first token",
    "doc": "Join a prompt's trailing space with the first token, so that it is not written twice."
  },
  "minTokens": {
    "type": "integer", "min": 0, "max": 9007199254740991, "default": 0, "room": "sampling",
    "step": [12, "bar the end of the text (`minTokens`)"],
    "about": "before this many tokens nothing ends the text; at most `maxTokens`",
    "doc": "Before this many tokens neither the model nor a stop string ends the text; an integer from 0 to maxTokens."
  },
  "finishSentence": {
    "type": "boolean", "default": false, "room": "text",
    "about": "at `maxTokens`, continue to the end of the sentence, for at most 64 tokens",
    "doc": "At maxTokens, continue to the end of the sentence, for at most 64 tokens."
  },
  "banned": {
    "type": "texts", "default": [], "room": "text",
    "about": "phrases that never appear in the output, in upper or lower case",
    "doc": "Phrases that never appear in the output, in upper or lower case: the text is rewritten from where one begins."
  },
  "overflow": {
    "type": "enum", "values": ["stop", "slide"], "default": "stop", "room": "text",
    "about": "when the context is full: end the text, or drop its older half and continue",
    "doc": "When the context is full: end the text, or drop its older half and continue. \"slide\" also takes prompts of any length."
  },
  "keep": {
    "type": "integer", "min": 0, "max": 9007199254740991, "default": 0, "room": "text",
    "about": "how many first tokens stay when the context slides; below a quarter of it",
    "doc": "How many first tokens stay when the context slides; an integer from 0, below a quarter of it."
  },
  "signal": {
    "type": "signal",
    "about": "ends the text early",
    "doc": "Ends the text early, without an error; finishReason is \"abort\".", "leftOut": "none"
  }
};
