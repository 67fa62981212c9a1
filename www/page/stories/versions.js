// Versions: alternative continuations at a position of a story. They form a tree, since a version may itself have
// positions with versions, and are stored as a list: a walk through it needs no recursion.

import { areSame, joined, placeIn, sliced, textOf } from "./passages.js";

/** @typedef {import("../../tokenformer.js").Passage} Passage */
/** @typedef {import("./story.js").Story} Story */

/**
 * One continuation at a position. One of those at a position is taken: it is the current text, and has no passages
 * here. The list's order is that of creation, whichever is taken.
 * @typedef {object} Version
 * @property {string} id
 * @property {string | null} parent the version whose text contains the position; null: the story's
 * @property {number} at the position: code units from the story's start
 * @property {Passage[] | null} passages all text after the position; null: the taken one
 * @property {boolean} [isDeleted] it can be put back
 */

/** Maximum nesting of versions in an imported list: taking one of them takes all above it. */
export const MOST_DEPTH = 500;

/** One of the continuations at a position, for display. @typedef {{ id: string, passages: Passage[], isTaken: boolean }} Alternative */

let count = 0;
/** An id that no other version of the same story has. */
export const newVersionId = () =>
  `${Date.now().toString(36)}-${(count += 1)}-${Math.random().toString(36).slice(2, 8)}`;

const isThere = (/** @type {Version} */ { isDeleted }) => !isDeleted;

/** The positions of the story's text that have versions, in order. @param {Story} story */
export function placesOf({ versions }) {
  const own = versions.filter((one) => one.parent === null && one.passages !== null && isThere(one));
  return [...new Set(own.map(({ at }) => at))].sort((a, b) => a - b);
}

/** All continuations at a position of the story's text, in the order of creation; none if there is only one. @param {Story} story @param {number} at @returns {Alternative[]} */
export function alternativesAt(story, at) {
  const there = story.versions.filter((one) => one.parent === null && one.at === at && isThere(one));
  if (!there.some(({ passages }) => passages !== null)) return [];
  return there.map(({ id, passages }) => ({
    id,
    passages: passages ?? sliced(story.passages, at),
    isTaken: passages === null,
  }));
}

/**
 * The story with another continuation at a position of its text, which is not taken; and its id. If it exists already,
 * it is not added again; if it is the taken one, nothing changes.
 * @param {Story} story
 * @param {number} place
 * @param {readonly Passage[]} passages
 * @returns {{ story: Story, id: string }}
 */
export function branched(story, place, passages, now = Date.now()) {
  const at = placeIn(textOf(story.passages), place);
  const { story: marked, taken } = withTaken(story, at);
  const same = alternativesAt(marked, at).find((one) => areSame(one.passages, passages));
  if (same) return { story, id: same.id };
  if (areSame(passages, sliced(story.passages, at))) return { story, id: taken };
  const id = newVersionId();
  const versions = [...marked.versions, { id, parent: null, at, passages: joined(passages) }];
  return { story: { ...marked, versions, changedAt: now }, id };
}

/**
 * The story with continuations at a position that are being written, none of which is taken: each as far as it is
 * written by now. Those without text are left out, and so are duplicates.
 * @param {Story} story
 * @param {number} place
 * @param {readonly { id: string, passages: readonly Passage[] }[]} drafts replace earlier drafts with the same ids
 * @returns {Story}
 */
export function drafted(story, place, drafts, now = Date.now()) {
  const at = placeIn(textOf(story.passages), place);
  const { story: marked } = withTaken(story, at);
  const here = joined(sliced(story.passages, at));
  const versions = marked.versions.slice();
  for (const { id, passages } of drafts) {
    const index = versions.findIndex((one) => one.id === id);
    if (index >= 0 && versions[index].passages === null) continue;
    const isTwin = versions.some(
      (one) => one.id !== id && one.parent === null && one.at === at && areSame(one.passages ?? here, passages),
    );
    const isKept = passages.length > 0 && !isTwin;
    const version = { id, parent: null, at, passages: joined(passages) };
    if (index < 0) versions.push(...(isKept ? [version] : []));
    else versions.splice(index, 1, ...(isKept ? [version] : []));
  }
  return { ...story, versions: tidied(versions), changedAt: now };
}

/**
 * The version that a text matches: the text's end is that version's from its position on, and the text before is the
 * story's. So undo and redo, which know nothing about versions, switch between them. Null if there is none.
 * @param {Story} story
 * @param {readonly Passage[]} passages
 */
export function versionOf(story, passages) {
  const { length } = textOf(passages);
  const isIt = (/** @type {Version} */ { parent, at, passages: own, isDeleted }) =>
    parent === null &&
    own !== null &&
    own.length > 0 &&
    !isDeleted &&
    at + textOf(own).length === length &&
    areSame(own, sliced(passages, at)) &&
    areSame(sliced(story.passages, 0, at), sliced(passages, 0, at));
  const found = story.versions.filter(isIt);
  return (
    found.reduce((/** @type {Version | null} */ last, one) => (last && last.at > one.at ? last : one), null)?.id ?? null
  );
}

/** The story with an entry for the taken continuation at a position, and that entry's id. @param {Story} story @param {number} at */
function withTaken(story, at) {
  const there = story.versions.find((one) => one.parent === null && one.at === at && one.passages === null);
  if (there) return { story, taken: there.id };
  const taken = { id: newVersionId(), parent: null, at, passages: null };
  return { story: { ...story, versions: [...story.versions, taken] }, taken: taken.id };
}

/**
 * Takes a version, wherever it is in the tree: the text after its position becomes a version in turn.
 * @param {Story} story
 * @param {string} id an unknown one changes nothing
 * @returns {Story}
 */
export function taken(story, id, now = Date.now()) {
  const byId = new Map(story.versions.map((version) => [version.id, version]));
  /** The path from the story's text to the version. @type {string[]} */
  const way = [];
  const seen = new Set();
  for (let at = byId.get(id); at; at = at.parent === null ? undefined : byId.get(at.parent)) {
    if (seen.has(at.id)) return story; // not a tree
    seen.add(at.id);
    way.unshift(at.id);
  }
  // Once a version is taken, its children are the story's.
  return way.reduce((changed, next) => takenHere(changed, next, now), story);
}

/** Takes a version of the story's own text. @param {Story} story @param {string} id @param {number} now @returns {Story} */
function takenHere(story, id, now) {
  const chosen = story.versions.find((version) => version.id === id);
  if (!chosen || chosen.parent !== null || chosen.passages === null) return story;
  const { at } = chosen;
  const { story: marked, taken: before } = withTaken(story, at);
  const left = sliced(story.passages, at);
  const versions = marked.versions.map((version) => {
    if (version.id === id) return { ...version, passages: null, isDeleted: false };
    if (version.id === before) return { ...version, passages: left };
    if (version.parent === null && version.at > at) return { ...version, parent: before };
    return version.parent === id ? { ...version, parent: null } : version;
  });
  // An empty continuation is dropped once another is taken.
  const isNothing = (/** @type {Version} */ { id, passages }) =>
    id === before && left.length === 0 && passages !== null && !versions.some(({ parent }) => parent === before);
  const passages = joined(sliced(story.passages, 0, at), chosen.passages);
  return { ...story, passages, versions: tidied(versions.filter((one) => !isNothing(one))), changedAt: now };
}

/**
 * The story up to a position, to be continued from there: the text after it becomes a version at that position.
 * @param {Story} story
 * @param {number} place
 * @returns {Story}
 */
export function continuedFrom(story, place, now = Date.now()) {
  const at = placeIn(textOf(story.passages), place);
  if (sliced(story.passages, at).length === 0) return story;
  const branch = branched(story, at, [], now);
  return taken(branch.story, branch.id, now);
}

/**
 * Deletes a version with all below it; `putBack` undoes it, until the story is opened the next time.
 * @param {Story} story
 * @param {string} id to delete the taken one, take another first
 * @returns {Story}
 */
export function deleted(story, id, now = Date.now()) {
  return withDeleted(story, id, true, now);
}

/** The reverse of `deleted`. @param {Story} story @param {string} id @returns {Story} */
export function putBack(story, id, now = Date.now()) {
  return withDeleted(story, id, false, now);
}

/** @param {Story} story @param {string} id @param {boolean} isDeleted @param {number} now @returns {Story} */
function withDeleted(story, id, isDeleted, now) {
  const versions = story.versions.map((one) => (one.id === id && one.passages ? { ...one, isDeleted } : one));
  return { ...story, versions, changedAt: now };
}

/** The versions without deleted ones and those below them, and without marks of positions that have only one continuation. @param {readonly Version[]} versions */
export function withoutDeleted(versions) {
  const children = groupedByParent(versions);
  /** @type {Set<Version>} */
  const kept = new Set();
  /** @type {(string | null)[]} */
  const open = [null];
  while (open.length > 0) {
    for (const version of children.get(open.pop() ?? null) ?? []) {
      if (version.isDeleted || kept.has(version)) continue;
      kept.add(version);
      if (version.passages !== null) open.push(version.id);
    }
  }
  const remaining = versions.filter((version) => kept.has(version));
  return tidied(remaining.map(({ id, parent, at, passages }) => ({ id, parent, at, passages })));
}

/** @param {readonly Version[]} versions */
function groupedByParent(versions) {
  /** @type {Map<string | null, Version[]>} */
  const groups = new Map();
  for (const version of versions) {
    const group = groups.get(version.parent);
    if (group) group.push(version);
    else groups.set(version.parent, [version]);
  }
  return groups;
}

/** For each position one entry for the taken continuation, and none if there are no others. @param {Version[]} versions */
function tidied(versions) {
  const placeOf = (/** @type {Version} */ { parent, at }) => `${parent ?? ""} ${at}`;
  const withOthers = new Set(versions.filter(({ passages }) => passages !== null).map(placeOf));
  const marked = new Set();
  return versions.filter((version) => {
    if (version.passages !== null) return true;
    const place = placeOf(version);
    if (!withOthers.has(place) || marked.has(place)) return false;
    marked.add(place);
    return true;
  });
}

/**
 * Validates a list from outside: every parent exists, positions come after those that they are below, and each position
 * has a taken entry. Versions that belong nowhere, or are below more than `MOST_DEPTH` others, are left out.
 * @param {readonly Version[]} versions
 * @param {number} length of the story's text
 * @returns {Version[]}
 */
export function asTree(versions, length) {
  const children = groupedByParent(versions);
  /** @type {Version[]} */
  const kept = [];
  const seen = new Set();
  /** A version's position, where its text ends, and its depth. @type {[id: string | null, at: number, end: number, depth: number][]} */
  const open = [[null, -1, length, 0]];
  while (open.length > 0) {
    const [parent, before, end, depth] = open.pop() ?? [null, 0, 0, 0];
    if (depth >= MOST_DEPTH) continue;
    for (const version of children.get(parent) ?? []) {
      if (seen.has(version.id) || version.at <= before || version.at > end) continue;
      seen.add(version.id);
      kept.push(version);
      const { id, at, passages } = version;
      if (passages) open.push([id, at, at + textOf(passages).length, depth + 1]);
    }
  }
  const order = new Map(versions.map((version, i) => [version, i]));
  kept.sort((a, b) => (order.get(a) ?? 0) - (order.get(b) ?? 0));
  return tidied([...missingTaken(kept), ...kept]);
}

/** Entries for the taken continuation, for positions that have none. @param {Version[]} versions @returns {Version[]} */
function missingTaken(versions) {
  /** @type {Map<string, Version>} */
  const places = new Map();
  for (const version of versions) {
    const { parent, at } = version;
    const place = `${parent ?? ""} ${at}`;
    if (version.passages === null || !places.has(place)) places.set(place, version);
  }
  return [...places.values()]
    .filter(({ passages }) => passages !== null)
    .map(({ parent, at }) => ({ id: newVersionId(), parent, at, passages: null }));
}

/**
 * The versions after a change of the story's text.
 * @param {Story} story before the change
 * @param {{ start: number, end: number, length: number }} change from `start` to `end` there are `length` other code units now
 * @returns {Version[]}
 */
export function shiftVersions({ passages, versions }, { start, end, length }) {
  const size = textOf(passages).length;
  const by = start + length - end;
  // A position at the end of text that was removed up to the end goes with it: its versions continued that text.
  const isTakenAway = (/** @type {number} */ at) => at > start && (at < end || (end === size && end > start));
  /** By how much versions have moved, by id; those below move with them. @type {Map<string, number>} */
  const moved = new Map();
  const shifted = versions.map((version) => {
    if (version.parent !== null || version.at <= start) return version;
    if (!isTakenAway(version.at)) {
      moved.set(version.id, by);
      return { ...version, at: version.at + by };
    }
    // Its text now starts earlier, but ends at the same distance from the story's start.
    const between = sliced(passages, start, version.at);
    return { ...version, at: start, passages: version.passages && joined(between, version.passages) };
  });
  return tidied(shiftBelow(shifted, moved));
}

/** Moves positions below moved versions by the same distance. @param {Version[]} versions @param {Map<string, number>} moved */
function shiftBelow(versions, moved) {
  const children = groupedByParent(versions);
  const open = [...moved.keys()];
  while (open.length > 0) {
    const id = /** @type {string} */ (open.pop());
    for (const child of children.get(id) ?? []) {
      if (moved.has(child.id)) continue;
      moved.set(child.id, moved.get(id) ?? 0);
      open.push(child.id);
    }
  }
  const isBelow = (/** @type {Version} */ { parent, id }) => parent !== null && moved.has(id);
  return versions.map((one) => (isBelow(one) ? { ...one, at: one.at + (moved.get(one.id) ?? 0) } : one));
}
