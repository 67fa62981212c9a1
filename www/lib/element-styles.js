// Styles of <token-former>. They take colours and font from the page around, so that the element
// looks at home in light and dark; three custom properties and the parts do the rest.

export const STYLES = `
:host { display: block; container-type: inline-size; color: inherit; font: inherit; line-height: 1.6;
  --accent: var(--token-former-accent, #9a3b26);
  --on-accent: var(--token-former-on-accent, #fff);
  --quiet: color-mix(in srgb, currentColor 66%, transparent);
  --line: color-mix(in srgb, currentColor 22%, transparent); }
:host([hidden]) { display: none; }
[hidden] { display: none !important; }
* { box-sizing: border-box; }

.sheet { font: inherit; }
.unseen { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
textarea { display: block; inline-size: 100%; min-block-size: 3.2em; padding: 0; margin: 0; border: 0; border-block-end: 1px solid var(--line);
  border-radius: 0; background: none; color: inherit; font: inherit; line-height: inherit; resize: vertical; field-sizing: content; }
textarea:focus-visible { outline: none; border-block-end-color: var(--accent); box-shadow: 0 1px 0 var(--accent); }
.output { display: block; min-block-size: var(--token-former-output-height, 9.6em); padding-block: .6em; color: inherit;
  white-space: pre-wrap; overflow-wrap: anywhere; }

.controls { display: flex; flex-wrap: wrap; align-items: center; gap: .6em 1em; padding-block-start: .8em; border-block-start: 1px solid var(--line);
  font-family: system-ui, sans-serif; font-size: max(.8em, 14px); line-height: 1.4; }
button { min-block-size: 44px; padding: .4em 1.4em; border: 1px solid var(--accent); border-radius: .3em; background: var(--accent); color: var(--on-accent);
  font: inherit; font-weight: 600; cursor: pointer; }
button.quiet { background: none; color: inherit; border-color: var(--line); }
button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.state { flex: 1 1 14em; min-inline-size: 0; color: var(--quiet); font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
progress { display: block; inline-size: 100%; block-size: .5em; accent-color: var(--accent); }

.error { margin-block: .8em 0; padding: .6em .9em; border-inline-start: 3px solid var(--accent); font-family: system-ui, sans-serif;
  font-size: max(.85em, 14px); overflow-wrap: anywhere; }
.error p { margin: 0; }
.error p + p { color: var(--quiet); }
`;
