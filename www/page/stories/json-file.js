// A story as JSON, complete.

import { invalidArgument } from "../../lib/errors.js";
import { isObject, toStory } from "./reading.js";
import { withoutDeleted } from "./versions.js";

/** @typedef {import("./story.js").Story} Story */

const FORMAT = "tokenformer-story";
const VERSION = 1;

/** The whole story except its id, which is only valid in this browser. @param {Story} story */
export function toJson({ id: _, ...story }) {
  const versions = withoutDeleted(story.versions);
  return `${JSON.stringify({ format: FORMAT, version: VERSION, ...story, versions }, null, 1)}\n`;
}

/** @param {unknown} value */
export const isOwnJson = (value) => isObject(value) && value.format === FORMAT;

/** The reverse. @param {unknown} value of which `isOwnJson` is true */
export function fromJson(value) {
  const { version } = Object(value);
  if (Number.isInteger(version) && version > VERSION)
    throw invalidArgument(
      `This story is of version ${version} of the format, and this page knows ${VERSION}.`,
      "Reload the page for its newest version, and open the file again.",
    );
  return toStory(value);
}
