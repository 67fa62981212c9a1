#!/usr/bin/env node
// Writes www/custom-elements.json, the manifest for editors and documentation tools about <token-former>: from the
// element's table of attributes, the types and docs/element.md. tests/js/custom-elements.test.mjs fails if it is stale.
//
//     node scripts/custom-elements.mjs

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { ATTRIBUTE_TABLE } from "../www/lib/element/attributes.js";

const path = (relative) => fileURLToPath(new URL(`../${relative}`, import.meta.url));
export const MANIFEST = path("www/custom-elements.json");
const TYPES = path("www/tokenformer.d.ts");

const SLOTS = {
  "": "Below everything.",
  heading: "Above the text.",
  controls: "Beside the buttons.",
  status: "Beside the status line.",
  margin: "In the frame of the text, for what stands beside its lines (`rectAt`).",
  choices: "Between the text and the bar.",
  fallback: "Shown only where there is no script.",
};
const PARTS = {
  sheet: "What holds the text.",
  prompt: "The text field, which lies on its mirror.",
  output: "The mirror of the text field, which is what is seen.",
  written: "A passage of the model's in the mirror.",
  tokens: "The token view.",
  token: "A token in the token view.",
  card: "The card of a token's alternatives.",
  controls: "The bar under the text.",
  button: "Every button of the bar.",
  generate: "The button that has the model continue the text.",
  stop: "The button that ends the writing.",
  regenerate: "The button that has the last passage written anew.",
  undo: "The button that takes back the last change.",
  status: "The status line.",
  progress: "The line of progress.",
  error: "What went wrong.",
};
const STATES = { loading: "A model is being loaded.", writing: "A text is being written." };

/** The manifest for the current files. */
export function manifest() {
  const { members, events } = fromTypes();
  return {
    schemaVersion: "2.1.0",
    readme: "README.md",
    modules: [
      {
        kind: "javascript-module",
        path: "tokenformer.js",
        declarations: [
          {
            kind: "class",
            name: "TokenFormerElement",
            tagName: "token-former",
            customElement: true,
            superclass: { name: "HTMLElement" },
            description: "A text, and a button that makes a language model continue it, on the visitor's own computer.",
            attributes: ATTRIBUTE_TABLE.map((row) => attribute(row, members)),
            members,
            events: [
              ...events,
              { name: "input", type: { text: "Event" }, description: "The text was edited, undone or set; bubbles." },
            ],
            slots: named(SLOTS),
            cssParts: named(PARTS),
            cssProperties: customProperties(),
            cssStates: named(STATES),
          },
        ],
        exports: [
          { kind: "custom-element-definition", name: "token-former", declaration: { name: "TokenFormerElement" } },
        ],
      },
    ],
  };
}

const named = (table) => Object.entries(table).map(([name, description]) => ({ name, description }));

function attribute({ attribute: name, property, kind, values, about, default: standard }, members) {
  const member = members.find((one) => one.name === property);
  if (!member) throw new Error(`www/tokenformer.d.ts has no property ${property} for the attribute ${name}.`);
  const type = { text: "string", number: "number", boolean: "boolean", json: "string" }[kind];
  return {
    name,
    type: { text: values?.map((value) => JSON.stringify(value)).join(" | ") ?? type },
    description: `${about[0].toUpperCase()}${about.slice(1)}.${kind === "json" ? " As JSON." : ""}`,
    ...(standard === undefined ? {} : { default: JSON.stringify(standard) }),
    ...(member.kind === "field" ? { fieldName: property } : {}),
  };
}

/** Members and events of the element, with their types and comments. */
function fromTypes() {
  const program = ts.createProgram([TYPES], { target: ts.ScriptTarget.ES2022, types: [], strict: true });
  const checker = program.getTypeChecker();
  const file = program.getSourceFile(TYPES);
  const own = (name) => {
    const declaration = file.statements.find((one) => ts.isInterfaceDeclaration(one) && one.name.text === name);
    const symbols = checker.getTypeAtLocation(declaration).getProperties();
    return symbols.filter(({ declarations = [] }) => declarations.some((one) => one.getSourceFile() === file));
  };
  const typeOf = (symbol) => checker.getTypeOfSymbol(symbol);
  const inWords = (type) => checker.typeToString(type, undefined, ts.TypeFormatFlags.NoTruncation);
  const described = (symbol) => ts.displayPartsToString(symbol.getDocumentationComment(checker)).replaceAll("\n", " ");
  const attributes = new Map(ATTRIBUTE_TABLE.map((row) => [row.property, row.attribute]));
  const members = own("TokenFormerElement")
    .filter(({ name }) => !/^(add|remove)EventListener$/.test(name))
    .map((symbol) => {
      const [name, type, description] = [symbol.name, typeOf(symbol), described(symbol)];
      const [call] = type.getCallSignatures();
      if (call) return { kind: "method", name, ...signature(call), description };
      const isReadonly = symbol.declarations.some(
        (one) => ts.getCombinedModifierFlags(one) & ts.ModifierFlags.Readonly,
      );
      return {
        kind: "field",
        name,
        type: { text: inWords(type) },
        description,
        ...(attributes.has(name) ? { attribute: attributes.get(name), reflects: name !== "model" } : {}),
        ...(isReadonly ? { readonly: true } : {}),
      };
    });
  const events = own("TokenFormerEventMap").map((symbol) => ({
    name: symbol.name,
    type: { text: inWords(typeOf(symbol)) },
    description: described(symbol),
  }));
  return { members, events };

  function signature(call) {
    const parameters = call.getParameters().map((symbol) => ({
      name: symbol.name,
      type: { text: inWords(typeOf(symbol)) },
      ...(symbol.valueDeclaration.questionToken ? { optional: true } : {}),
    }));
    return {
      ...(parameters.length > 0 ? { parameters } : {}),
      return: { type: { text: inWords(call.getReturnType()) } },
    };
  }
}

/** The documentation's table of custom properties. */
function customProperties() {
  const page = readFileSync(path("docs/element.md"), "utf8");
  return [...page.matchAll(/^\| `(--token-former-[\w-]+)` \| (.+?) \| (.+?) \|$/gm)].map(
    ([, name, standard, about]) => ({
      name,
      default: standard.replaceAll("`", ""),
      description: `${about[0].toUpperCase()}${about.slice(1)}.`.replaceAll("`", ""),
    }),
  );
}

/** The file's text. */
export function manifestText() {
  return `${JSON.stringify(manifest(), null, 2)}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(MANIFEST, manifestText());
