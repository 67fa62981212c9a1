// The model that comes with the build: scripts/embed-model writes this file and no other names the model. Between the
// parentheses is JSON, which native tests and the evaluation read too.

export const EMBEDDED = Object.freeze({
  "name": "tokenformer-46m-stories",
  "label": "Stories 46M",
  "about": "stories, letters and old books",
  "parameters": 46138368,
  "quantization": "q4",
  "calibrated": 32768,
  "contextLength": 1024,
  "weightBytes": 28092192,
  "downloadBytes": 28645845,
  "sampling": {
    "temperature": 0.7,
    "topP": 0.92,
    "repetitionPenalty": 1.1
  },
  "perplexity": 29.7123,
  "perplexityLimit": 0.015
});
