// Saved stories of KoboldAI: from Lite and the Client (a prompt and a list of actions), and from United (actions with options).

import { joined } from "./passages.js";
import { asList, asNames, asText, isObject, MOST_VERSIONS } from "./reading.js";
import { asTitle, newStory } from "./story.js";
import { branched } from "./versions.js";

/** @typedef {import("./reading.js").Opened} Opened */
/** An action: its text, and alternatives to it. @typedef {{ text: string, others: string[] }} Action */

/** Maximum number of alternatives imported for one position. */
const MOST_OTHERS = 50;
/** The placeholder for the note in the template of an author's note. */
const PLACE = "<|>";

/** @param {unknown} value */
export function isKobold(value) {
  return (
    isObject(value) &&
    typeof value.prompt === "string" &&
    (Array.isArray(value.actions) || (isObject(value.actions) && isObject(value.actions.actions)))
  );
}

/** @param {unknown} value of which `isKobold` is true @returns {Opened} */
export function fromKobold(value) {
  const save = /** @type {Record<string, unknown>} */ (value);
  const { actions, dropped } = actionsOf(save);
  const note = asText(save.authorsnote) || asText(save.authornote);
  const template = asText(save.anotetemplate) || asText(save.authornotetemplate);
  const { lore, isConditional } = loreOf(save);
  let story = newStory({
    title: asTitle(asText(save.story_name)),
    passages: joined([{ text: asText(save.prompt) + actions.map(({ text }) => text).join(""), written: false }]),
    memory: asText(save.memory),
    note: note !== "" && template.includes(PLACE) ? template.replace(PLACE, () => note) : note,
    lore,
  });
  story = withOthers(story, asText(save.prompt).length, actions);
  const told = [
    "who wrote what, which the file does not say",
    ...dropped,
    isObject(save.savedsettings) && "its settings, which are another model's",
    isConditional && "conditions of its world info other than a name",
  ];
  return { stories: [story], dropped: told.filter((one) => typeof one === "string") };
}

/** @param {import("./story.js").Story} story @param {number} start @param {Action[]} actions */
function withOthers(story, start, actions) {
  let [it, at] = [story, start];
  for (const { text, others } of actions) {
    if (it.versions.length > MOST_VERSIONS) break;
    for (const other of others.slice(0, MOST_OTHERS))
      it = branched(it, at, [{ text: other, written: false }], story.changedAt).story;
    at += text.length;
  }
  return it;
}

/** @param {Record<string, unknown>} save @returns {{ actions: Action[], dropped: string[] }} */
function actionsOf(save) {
  const isText = (/** @type {unknown} */ one) => typeof one === "string";
  if (Array.isArray(save.actions)) {
    const metadata = isObject(save.actions_metadata) ? save.actions_metadata : {};
    const actions = save.actions.map((text, i) => ({ text: asText(text), others: othersOf(metadata[i], text) }));
    return { actions, dropped: save.actions.every(isText) ? [] : ["actions without text"] };
  }
  const { actions: byNumber, action_count: last } = /** @type {Record<string, unknown>} */ (save.actions);
  const numbers = Object.keys(Object(byNumber))
    .map(Number)
    .filter((number) => Number.isInteger(number) && number >= 0)
    .sort((a, b) => a - b);
  // Actions after the last one were undone.
  const isUndone = (/** @type {number} */ number) => Number.isInteger(last) && number > Number(last);
  const actions = numbers
    .filter((number) => !isUndone(number))
    .map((number) => {
      const action = Object(byNumber)[number];
      return {
        text: asText(Object(action)["Selected Text"]),
        others: othersOf(action, Object(action)["Selected Text"]),
      };
    });
  return { actions, dropped: numbers.some(isUndone) ? ["what was undone in it"] : [] };
}

/** The alternatives to an action. @param {unknown} action @param {unknown} text */
function othersOf(action, text) {
  const options = isObject(action) ? [...asList(action["Alternative Text"]), ...asList(action.Options)] : [];
  const texts = options.map((option) => (isObject(option) ? asText(option.Text) || asText(option.text) : ""));
  return texts.filter((other) => other !== "" && other !== text);
}

/** @param {Record<string, unknown>} save */
function loreOf({ worldinfo, worldinfo_v2: united }) {
  const entries = isObject(united) && isObject(united.entries) ? Object.values(united.entries) : asList(worldinfo);
  const isConditional = entries.some(
    (entry) => isObject(entry) && (entry.selective === true || asText(entry.keyanti) !== ""),
  );
  const lore = entries.filter(isObject).map((entry) => ({
    names: asNames(Array.isArray(entry.key) ? entry.key : asText(entry.key).split(",")),
    text: asText(entry.content) || asText(entry.manual_text),
    isAlways: entry.constant === true,
  }));
  return { lore: lore.filter(({ text }) => text.trim() !== ""), isConditional };
}
