// Versions: at a place of a story, other ways in which it could go on. They are a tree, since a version may itself have
// places with versions, and are kept as a list: a walk through it needs no recursion.

import { areSame, joined, placeIn, sliced, textOf } from "./passages.js";

/** @typedef {import("../../tokenformer.js").Passage} Passage */
/** @typedef {import("./story.js").Story} Story */

/**
 * One way to go on from a place. Of those at a place one is taken: it is the text that is there, and has no passages here.
 * The list's order is the order in which they came, whichever is taken.
 * @typedef {object} Version
 * @property {string} id
 * @property {string | null} parent the version in whose text the place is; null: the story's
 * @property {number} at the place: code units from the story's beginning
 * @property {Passage[] | null} passages all that follows the place; null: what is taken
 * @property {boolean} [isDeleted] it can be put back
 */

/** Versions below versions that a list from outside may have: taking one of them takes all above it. */
export const MOST_DEPTH = 500;

/** One of the ways at a place, as something to show. @typedef {{ id: string, passages: Passage[], isTaken: boolean }} Alternative */

let count = 0;
/** A name that no other version of the same story has. */
export const newVersionId = () =>
  `${Date.now().toString(36)}-${(count += 1)}-${Math.random().toString(36).slice(2, 8)}`;

const isThere = (/** @type {Version} */ { isDeleted }) => !isDeleted;

/** The places of the story's text that have versions, in its order. @param {Story} story */
export function placesOf({ versions }) {
  const own = versions.filter((one) => one.parent === null && one.passages !== null && isThere(one));
  return [...new Set(own.map(({ at }) => at))].sort((a, b) => a - b);
}

/** All ways to go on from a place of the story's text, in the order in which they came; none where there is but one. @param {Story} story @param {number} at @returns {Alternative[]} */
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
 * The story with another way to go on from a place of its text, which is not taken; and that way's id. One that is there
 * already is not added again; to take the id of what is taken changes nothing.
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
 * The story with ways to go on from a place that are being written, none of which is taken: each as far as it is there by now.
 * Those without text are left out, and so are those that say the same as another.
 * @param {Story} story
 * @param {number} place
 * @param {readonly { id: string, passages: readonly Passage[] }[]} drafts what was told of the same ids before is replaced
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
 * The version that a text takes: the text's end is that version's from its place on, and what stands before is the story's.
 * So undo and redo, which know of no versions, go from one to the other. Null where there is none.
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

/** The story with an entry for what is taken at a place, and that entry's id. @param {Story} story @param {number} at */
function withTaken(story, at) {
  const there = story.versions.find((one) => one.parent === null && one.at === at && one.passages === null);
  if (there) return { story, taken: there.id };
  const taken = { id: newVersionId(), parent: null, at, passages: null };
  return { story: { ...story, versions: [...story.versions, taken] }, taken: taken.id };
}

/**
 * Takes a version, wherever in the tree it is: what follows its place becomes a version in turn.
 * @param {Story} story
 * @param {string} id an unknown one changes nothing
 * @returns {Story}
 */
export function taken(story, id, now = Date.now()) {
  const byId = new Map(story.versions.map((version) => [version.id, version]));
  /** From the story's text to the version. @type {string[]} */
  const way = [];
  const seen = new Set();
  for (let at = byId.get(id); at; at = at.parent === null ? undefined : byId.get(at.parent)) {
    if (seen.has(at.id)) return story; // not a tree
    seen.add(at.id);
    way.unshift(at.id);
  }
  // A version that is taken has no text to go into: its children are the story's.
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
  // A way of nothing is no way to go, once another is taken.
  const isNothing = (/** @type {Version} */ { id, passages }) =>
    id === before && left.length === 0 && passages !== null && !versions.some(({ parent }) => parent === before);
  const passages = joined(sliced(story.passages, 0, at), chosen.passages);
  return { ...story, passages, versions: tidied(versions.filter((one) => !isNothing(one))), changedAt: now };
}

/**
 * The story up to a place, to be written on from there: what follows becomes a version at that place.
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
 * @param {string} id what is taken is deleted by taking another first
 * @returns {Story}
 */
export function deleted(story, id, now = Date.now()) {
  return withDeleted(story, id, true, now);
}

/** The opposite of `deleted`. @param {Story} story @param {string} id @returns {Story} */
export function putBack(story, id, now = Date.now()) {
  return withDeleted(story, id, false, now);
}

/** @param {Story} story @param {string} id @param {boolean} isDeleted @param {number} now @returns {Story} */
function withDeleted(story, id, isDeleted, now) {
  const versions = story.versions.map((one) => (one.id === id && one.passages ? { ...one, isDeleted } : one));
  return { ...story, versions, changedAt: now };
}

/** The versions without those that were deleted, what was below them, and marks of places that have but one way. @param {readonly Version[]} versions */
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

/** Of each place one entry for what is taken, and none where nothing else is. @param {Version[]} versions */
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
 * A list that came from outside as it must be: every parent is there, places lie behind those that they are below, and each
 * place says what is taken. Versions that belong nowhere, or are below more than `MOST_DEPTH` others, are left out.
 * @param {readonly Version[]} versions
 * @param {number} length of the story's text
 * @returns {Version[]}
 */
export function asTree(versions, length) {
  const children = groupedByParent(versions);
  /** @type {Version[]} */
  const kept = [];
  const seen = new Set();
  /** Where a version's own place is, where its text ends, and how deep it is. @type {[id: string | null, at: number, end: number, depth: number][]} */
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

/** Entries for what is taken, of places that have none. @param {Version[]} versions @returns {Version[]} */
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
  // A place at the end of what was taken away up to the text's end goes with it: its versions continued that.
  const isTakenAway = (/** @type {number} */ at) => at > start && (at < end || (end === size && end > start));
  /** Where versions' own places are, by their id; those below move with them. @type {Map<string, number>} */
  const moved = new Map();
  const shifted = versions.map((version) => {
    if (version.parent !== null || version.at <= start) return version;
    if (!isTakenAway(version.at)) {
      moved.set(version.id, by);
      return { ...version, at: version.at + by };
    }
    // Its text begins earlier now, and is as long as before, counted from the story's beginning.
    const between = sliced(passages, start, version.at);
    return { ...version, at: start, passages: version.passages && joined(between, version.passages) };
  });
  return tidied(shiftBelow(shifted, moved));
}

/** Places below versions that have moved move as far. @param {Version[]} versions @param {Map<string, number>} moved */
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
