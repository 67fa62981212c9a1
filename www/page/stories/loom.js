// Trees of loomsidian: nodes with a text and a parent. The path to the current node is the story, all others are its
// versions.

import { invalidArgument } from "../../lib/errors.js";
import { joined } from "./passages.js";
import { asText, isObject, MOST_VERSIONS } from "./reading.js";
import { asTitle, newStory } from "./story.js";
import { asTree } from "./versions.js";

/** @typedef {import("../../tokenformer.js").Passage} Passage */
/** @typedef {import("./reading.js").Opened} Opened */
/** @typedef {import("./story.js").Story} Story */
/** @typedef {import("./versions.js").Version} Version */
/** @typedef {{ text: string, parent: string | null, visited: number, children: string[] }} Node */

/** Maximum number of trees in a file: the plugin stores those of all notes in one. */
const MOST_TREES = 500;

/** @param {unknown} value */
const isTree = (value) => isObject(value) && isObject(value.nodes);
/** The plugin's own file: trees by the path of their note. @param {unknown} value */
const isPluginData = (value) => isObject(value) && isObject(value.state) && Object.values(value.state).some(isTree);

/** @param {unknown} value */
export const isLoom = (value) => isTree(value) || isPluginData(value);

/** @param {unknown} value of which `isLoom` is true @returns {Opened} */
export function fromLoom(value) {
  const trees = isTree(value)
    ? [[null, value]]
    : Object.entries(Object(value).state).filter(([, tree]) => isTree(tree));
  const read = trees.slice(0, MOST_TREES).map(([path, tree]) => storyOf(tree, path));
  const dropped = [
    "who wrote what, which the file does not say",
    trees.length > MOST_TREES && `all trees but the first ${MOST_TREES}`,
    ...new Set(read.flatMap((one) => one.dropped)),
  ];
  return { stories: read.map(({ story }) => story), dropped: dropped.filter((one) => typeof one === "string") };
}

/** @param {unknown} tree @param {unknown} path of its note @returns {{ story: Story, dropped: string[] }} */
function storyOf(tree, path) {
  const { nodes: given, current } = Object(tree);
  const nodes = nodesOf(given);
  const way = wayTo(nodes, current);
  if (nodes.size > 0 && way.length === 0)
    throw invalidArgument("The nodes of this tree go round in a circle.", "Export the tree from the note once more.");
  const text = (/** @type {string} */ id) => nodes.get(id)?.text ?? "";
  const passages = joined([{ text: way.map(text).join(""), written: false }]);
  const { versions, reached } = versionsOf(nodes, way);
  const story = newStory({
    title: typeof path === "string" ? asTitle(path.replace(/^.*\//, "").replace(/\.md$/, "")) : null,
    passages,
    versions: asTree(
      versions.filter(({ passages }) => passages.length > 0).slice(0, MOST_VERSIONS),
      way.map(text).join("").length,
    ),
  });
  const kept = new Set(story.versions.map(({ id }) => id));
  const dropped = [
    reached < nodes.size && "nodes that hang on no other",
    versions.length <= MOST_VERSIONS &&
      versions.some(({ id, passages }) => passages.length > 0 && !kept.has(id)) &&
      "versions below very many others",
    versions.length > MOST_VERSIONS && `all versions but the first ${MOST_VERSIONS.toLocaleString("en")}`,
    Object.values(Object(given)).some((node) => Object(node).bookmarked === true) && "bookmarks",
  ];
  return { story, dropped: dropped.filter((one) => typeof one === "string") };
}

/** @param {unknown} given @returns {Map<string, Node>} */
function nodesOf(given) {
  const nodes = new Map(
    Object.entries(Object(given))
      .filter(([, node]) => isObject(node))
      .map(([id, { text, parentId, lastVisited }]) => [
        id,
        {
          text: asText(text),
          parent: typeof parentId === "string" ? parentId : null,
          visited: Number.isFinite(lastVisited) ? lastVisited : 0,
          children: /** @type {string[]} */ ([]),
        },
      ]),
  );
  for (const [id, { parent }] of nodes) if (parent !== null) nodes.get(parent)?.children.push(id);
  return nodes;
}

/** The nodes from a root to the current one, or to the end of the first branch; none if there is no root. @param {Map<string, Node>} nodes @param {unknown} current */
function wayTo(nodes, current) {
  /** @type {string[]} */
  const way = [];
  const seen = new Set();
  let id = typeof current === "string" && nodes.has(current) ? current : null;
  const isChosen = id !== null;
  while (id !== null && nodes.has(id)) {
    if (seen.has(id)) return [];
    seen.add(id);
    way.unshift(id);
    id = nodes.get(id)?.parent ?? null;
  }
  if (isChosen) return way;
  const root = rootsOf(nodes)[0];
  return root === undefined ? [] : branchFrom(nodes, root);
}

/** @param {Map<string, Node>} nodes */
const rootsOf = (nodes) =>
  [...nodes].filter(([, { parent }]) => parent === null || !nodes.has(parent)).map(([id]) => id);

/** A node and its descendants, at each step the child that was visited last. @param {Map<string, Node>} nodes @param {string} start */
function branchFrom(nodes, start) {
  const branch = [start];
  for (;;) {
    const children = nodes.get(branch[branch.length - 1])?.children ?? [];
    if (children.length === 0) return branch;
    const visited = (/** @type {string} */ id) => nodes.get(id)?.visited ?? 0;
    branch.push(children.reduce((best, id) => (visited(id) > visited(best) ? id : best)));
  }
}

/** Everything that is not on the path. @param {Map<string, Node>} nodes @param {string[]} way */
function versionsOf(nodes, way) {
  /** @type {(Version & { passages: Passage[] })[]} */
  const versions = [];
  /** Nodes that start a version. @type {{ start: string, parent: string | null, at: number }[]} */
  const open = [];
  /** Opens versions for the children beside a branch, at their position in its text; those before any text of the branch start where the branch does. @param {string[]} branch @param {{ id: string | null, parent: string | null, at: number }} version */
  function openBeside(branch, { id, parent, at: begin }) {
    let at = begin;
    branch.forEach((node, i) => {
      at += nodes.get(node)?.text.length ?? 0;
      for (const child of nodes.get(node)?.children ?? [])
        if (child !== branch[i + 1]) open.push({ start: child, parent: at > begin ? id : parent, at });
    });
  }
  for (const root of rootsOf(nodes)) if (root !== way[0]) open.push({ start: root, parent: null, at: 0 });
  openBeside(way, { id: null, parent: null, at: 0 });
  let reached = way.length;
  for (let i = 0; i < open.length; i += 1) {
    const { start: id, parent, at } = open[i];
    const branch = branchFrom(nodes, id);
    const text = branch.map((node) => nodes.get(node)?.text ?? "").join("");
    versions.push({ id, parent, at, passages: joined([{ text, written: false }]) });
    reached += branch.length;
    openBeside(branch, { id, parent, at });
  }
  return { versions, reached };
}
