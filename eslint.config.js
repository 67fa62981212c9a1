// What prettier does not see: mistakes, and code that nobody uses. Run by `scripts/test lint`.

import js from "@eslint/js";
import globals from "globals";

export default [
  {
    ignores: [
      "dist/",
      "npm/",
      "target/",
      "eval/.venv/",
      "tests/out/",
      "fuzz/",
      "npm-stories/",
      "release/",
      "examples/vite/",
      ".tools/",
    ],
  },
  js.configs.recommended,
  {
    rules: {
      "no-control-regex": "off", // what no address and no header may hold
      eqeqeq: ["error", "always", { null: "ignore" }],
      "no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "no-var": "error",
      "prefer-const": "error",
    },
  },
  { files: ["www/**/*.js", "examples/**/*.js", "eval/**/*.js"], languageOptions: { globals: globals.browser } },
  {
    files: ["examples/**/*.jsx"],
    languageOptions: { globals: globals.browser, parserOptions: { ecmaFeatures: { jsx: true } } },
    rules: { "no-unused-vars": "off" }, // JSX uses names that this rule does not see
  },
  { files: ["docs/**"], languageOptions: { globals: { ...globals.browser, ...globals.node } } },
  { files: ["www/service-worker.js"], languageOptions: { globals: globals.serviceworker } },
  { files: ["examples/extension/*.js"], languageOptions: { globals: globals.webextensions } },
  { files: ["scripts/**", "tests/**", "examples/**/*.mjs", "*.js"], languageOptions: { globals: globals.node } },
  // What a test evaluates in a page knows that page's globals.
  { files: ["tests/browser/**", "tests/full/**", "scripts/**"], rules: { "no-undef": "off" } },
  { files: ["tests/js/**"], languageOptions: { globals: globals.browser } },
];
