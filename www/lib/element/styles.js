// Styles of <token-former>. They take colours and font from the page around, so that the element looks at home in
// light and dark; the custom properties and the parts do the rest.

const HOST = `
:host { display: block; container-type: inline-size; color: inherit; font: inherit; line-height: 1.6;
  /* Underscored, so that a page's own --accent may feed the public property without a cycle. */
  --_accent: var(--token-former-accent, #9a3b26);
  --_on-accent: var(--token-former-on-accent, #fff);
  --_paper: var(--token-former-paper, Canvas);
  --_written: var(--token-former-written, color-mix(in srgb, currentColor 55%, #4a6fa8));
  --_quiet: color-mix(in srgb, currentColor 68%, transparent);
  --_line: color-mix(in srgb, currentColor 20%, transparent); }
/* Without a colour of the page's for what lies over the text: the opposite of the text's own, since a dark page need not say that it is one. */
@supports (color: oklch(from red l c h)) {
  :host { --_paper: var(--token-former-paper, oklch(from currentColor clamp(.2, (.65 - l) * 100, 1) 0 0)); }
}
@supports (color: light-dark(#000, #fff)) {
  :host { --_accent: var(--token-former-accent, light-dark(#9a3b26, #e39a82)); --_on-accent: var(--token-former-on-accent, light-dark(#fff, #20150f)); }
}
:host([hidden]) { display: none; }
[hidden] { display: none !important; }
* { box-sizing: border-box; }
.unseen { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
`;

/* The field lies on its mirror, glyph upon glyph: whatever sets text must be the same for both. Browsers reset for a field
   what other elements inherit: each such property is named. No letter is transformed: what is seen is what is copied. */
const SURFACE = `
.sheet { position: relative; font: inherit; }
.surface { position: relative; isolation: isolate; display: grid; min-block-size: var(--token-former-output-height, 9.6em); max-block-size: var(--token-former-max-height, min(70vh, 34em));
  overflow: auto; overscroll-behavior: auto contain; scrollbar-gutter: stable; }
.mirror, textarea { grid-area: 1 / 1; min-inline-size: 0; inline-size: 100%; margin: 0; padding: .3em 0 .6em; border: 0; font: inherit; letter-spacing: inherit;
  word-spacing: inherit; text-align: start; unicode-bidi: plaintext; text-align-last: auto; text-indent: 0; text-transform: none; text-shadow: inherit; text-rendering: inherit; text-wrap-style: auto;
  text-autospace: inherit; text-spacing-trim: inherit; word-break: inherit; line-break: inherit; white-space: pre-wrap; overflow-wrap: anywhere; hyphens: none; tab-size: 4; }
/* A last line that is empty is a line. Not a character: one would move with every word that is written. */
.mirror::after { content: ""; display: inline-block; }
textarea { display: block; block-size: 100%; border-radius: 0; outline: none; background: none; color: inherit; -webkit-text-fill-color: transparent;
  caret-color: var(--_accent); line-height: inherit; resize: none; overflow: hidden; }
textarea::placeholder { color: var(--_quiet); -webkit-text-fill-color: var(--_quiet); opacity: 1; font-style: italic; }
textarea::selection { background: color-mix(in srgb, var(--_accent) 26%, transparent); }
.surface[data-composing] .mirror { visibility: hidden; }
.surface[data-composing] textarea { -webkit-text-fill-color: currentColor; }
/* Around the sheet, since the surface cuts off what is outside of it, and above the controls, which may lie over what is below. */
.sheet:focus-within::before { content: ""; position: absolute; inset: -.15em -.5em 2px; border: 2px solid color-mix(in srgb, var(--_accent) 70%, transparent); border-radius: 4px; pointer-events: none; }

.written { color: var(--_written); }
/* Where the model's memory begins: lines that take no room, so that the text lies as in the field. */
.seen-from { box-shadow: inset 1px 0 0 color-mix(in srgb, var(--_accent) 55%, transparent); }
.seen-from::before { content: ""; position: absolute; z-index: -1; inset-inline: 0; border-block-start: 1px dashed color-mix(in srgb, var(--_accent) 55%, transparent); }
.fresh { animation: settle 1.4s ease-out both; }
@keyframes settle { from { color: var(--_accent); } }
/* The end of what is being written. A border of the passage's own, which takes no room: a box behind it would be a thing that moves with every word. */
.written[data-open] { margin-inline-end: -2px; border-inline-end: 2px solid var(--_accent); }
@media (prefers-reduced-motion: reduce) { .fresh { animation: none; } }
@media (forced-colors: active) { .mirror { visibility: hidden; } textarea { -webkit-text-fill-color: currentColor; } }
`;

const CONTROLS = `
.controls { position: relative; padding-block: .75em .35em; border-block-start: 1px solid var(--_line); font-family: system-ui, sans-serif; font-size: max(.72em, 14px);
  line-height: 1.4; font-variant-numeric: tabular-nums; }
.buttons { display: flex; flex-wrap: wrap; align-items: center; gap: .4em .5em; }
button { font: inherit; color: inherit; cursor: pointer; }
.buttons button { min-block-size: 44px; padding: .4em .7em; border: 1px solid transparent; border-radius: 6px; background: none; transition: background-color .15s, opacity .15s; }
.buttons button:is([part~="generate"], [part~="stop"]) { min-inline-size: 8.2em; padding-inline: 1.3em; border-color: var(--_accent); background: var(--_accent); color: var(--_on-accent); font-weight: 600; }
/* As wide as the longest word that stands on it, in whatever font: nothing beside it moves when the word becomes another. */
.buttons button:is([part~="generate"], [part~="stop"])::after { content: "Generate\\a Continue"; content: "Generate\\a Continue" / ""; display: block; block-size: 0;
  overflow: hidden; visibility: hidden; white-space: pre; font-weight: 600; }
.buttons button.quiet { border-color: var(--_line); background: none; color: inherit; }
.buttons button:not(:disabled):hover { background: color-mix(in srgb, currentColor 8%, transparent); }
.buttons button[part~="generate"]:hover { background: color-mix(in srgb, var(--_accent) 88%, currentColor); }
.buttons button:disabled { opacity: .4; cursor: default; }
button:focus-visible, .token:focus-visible, .tokens:focus-visible { outline: 2px solid var(--_accent); outline-offset: 2px; }
.state { display: flex; flex-wrap: wrap; align-items: baseline; justify-content: space-between; gap: 0 1em; min-block-size: 1.9em; padding-block-start: .45em; color: var(--_quiet); overflow-wrap: anywhere; }
/* A line of its own, whatever it says: what else the page puts there does not move. */
.status { flex: 0 0 100%; min-block-size: 1.4em; }
@container (max-width: 25rem) {
  .buttons { gap: .3em; }
  .buttons button { padding-inline: .45em; }
  .buttons button:is([part~="generate"], [part~="stop"]) { min-inline-size: 6.4em; padding-inline: .6em; }
  /* Room for the longest status, so that nothing below it moves when its words become more. */
  .state { align-content: start; }
  .status { min-block-size: 2.8em; }
}
/* A line along the upper edge: it takes no room, so that nothing moves when it comes and goes. */
progress { appearance: none; position: absolute; inset-block-start: -2px; inset-inline: 0; display: block; inline-size: 100%; block-size: 3px; border: 0; background: none;
  color: var(--_accent); overflow: hidden; }
progress::-webkit-progress-bar { background: none; }
progress::-webkit-progress-value { background: var(--_accent); transition: inline-size .2s; }
progress::-moz-progress-bar { background: var(--_accent); }
progress:indeterminate::after { content: ""; position: absolute; inset-block: 0; inline-size: 30%; background: var(--_accent); animation: seek 1.2s ease-in-out infinite alternate; }
@keyframes seek { to { translate: 233%; } }
@media (prefers-reduced-motion: reduce) { progress:indeterminate::after { inline-size: 100%; opacity: .5; animation: none; } .buttons button, progress::-webkit-progress-value { transition: none; } }

/* Above the controls, over the end of the sheet: nothing moves when it comes and goes, the button under the pointer least of all. */
.error { position: absolute; inset-block-end: calc(100% + 1px); inset-inline: 0; padding: .5em .9em; border-inline-start: 3px solid var(--_accent); background: var(--_paper); font-size: max(1.05em, 14px); line-height: 1.5; overflow-wrap: anywhere; }
.error p { margin: 0; }
.error p + p { color: var(--_quiet); }
.error .code { font: .85em/1.6 ui-monospace, monospace; }
`;

const TOKENS = `
/* As high as the text in its place, what is explained included. */
.token-view { position: relative; display: flex; flex-direction: column; min-block-size: var(--token-former-output-height, 9.6em); max-block-size: var(--token-former-max-height, min(70vh, 34em)); }
.tokens { flex: 1 1 auto; min-block-size: 0; overflow: auto; scrollbar-gutter: stable;
  padding: .3em 0 .6em; white-space: pre-wrap; overflow-wrap: anywhere; line-height: inherit; unicode-bidi: plaintext; }
.token-view .written { color: var(--_written); }
.token { border-radius: 2px; box-shadow: inset 0 -1px 0 var(--_line), inset 1px 0 0 var(--_line); cursor: pointer; }
[data-surprise="1"] { background: color-mix(in srgb, var(--_accent) 9%, transparent); }
[data-surprise="2"] { background: color-mix(in srgb, var(--_accent) 16%, transparent); }
[data-surprise="3"] { background: color-mix(in srgb, var(--_accent) 24%, transparent); }
[data-surprise="4"] { background: color-mix(in srgb, var(--_accent) 32%, transparent); }
.legend { margin: 0 0 .6em; color: var(--_quiet); font-family: system-ui, sans-serif; font-size: max(.72em, 14px); line-height: 1.8; }
.shade { display: inline-block; inline-size: 1.6em; block-size: 1.1em; border-radius: 2px; vertical-align: -.2em; box-shadow: inset 0 0 0 1px var(--_line); }
.token[aria-describedby] { box-shadow: inset 0 -2px 0 var(--_accent); }
.tokens-note, .tokens-none { margin: 0 0 .6em; color: var(--_quiet); font-family: system-ui, sans-serif; font-size: max(.72em, 14px); line-height: 1.4; }
.card { position: absolute; z-index: 2; inline-size: min(19em, 100%); padding: .4em .5em; border: 1px solid var(--_line); border-radius: 8px; background: var(--_paper);
  box-shadow: 0 6px 24px rgb(0 0 0 / .16); font-family: system-ui, sans-serif; font-size: max(.72em, 14px); line-height: 1.4; font-variant-numeric: tabular-nums; }
.card:focus { outline: none; }
.card .close { display: none; }
/* On a small screen a sheet at its lower edge, in the top layer. */
.card[popover] { position: fixed; inset: auto 0 0; margin: 0; inline-size: 100%; max-inline-size: none; max-block-size: 55dvh; overflow: auto; overscroll-behavior: contain;
  padding: .6em 1em max(.6em, env(safe-area-inset-bottom)); border-width: 1px 0 0; border-radius: 14px 14px 0 0; color: inherit; }
.card[popover] .close { display: block; position: sticky; inset-block-start: 0; float: inline-end; inline-size: 44px; block-size: 44px; border: 0; border-radius: 6px; background: var(--_paper); font-size: 1.4em; line-height: 1; }
.card[popover] .card-note { min-block-size: 44px; padding-block: .6em; }
.card :is(p, ol) { margin: 0; list-style: none; }
.card ol { padding: 0; clear: both; }
.card-note { padding: .2em .3em .4em; color: inherit; overflow-wrap: anywhere; }
.token-text { overflow-wrap: anywhere; white-space: pre-wrap; }
.alternative { display: grid; grid-template-columns: 7.5em 1fr 4.6em; gap: .6em; align-items: center; inline-size: 100%; min-block-size: 30px; padding: .1em .3em; border: 0; border-radius: 4px;
  background: none; text-align: start; }
.alternative > :last-child { text-align: end; color: var(--_quiet); }
.alternative:hover { background: color-mix(in srgb, currentColor 8%, transparent); }
.alternative[aria-current] { font-weight: 600; }
.share { block-size: 4px; border-radius: 2px; background: linear-gradient(var(--_accent) 0 0) 0 0 / calc(var(--share) * 100%) 100% no-repeat, color-mix(in srgb, currentColor 12%, transparent); }
@media (pointer: coarse) { .alternative { min-block-size: 44px; } }
`;

export const STYLES = HOST + SURFACE + CONTROLS + TOKENS;
