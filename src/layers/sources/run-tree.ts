/**
 * Free runs by address, with the longest run of each subtree: finding the lowest run that fits, a
 * neighbour or the last run takes a number of steps that grows with the logarithm of their number.
 * A treap: ranks that are as good as random keep it balanced, and it needs no rotations.
 */

/** Neighbouring units that are used together. */
export interface Run {
  /** Number of the first unit. */
  readonly at: number;
  readonly count: number;
}

/** A subtree; undefined is the empty one. */
export type Tree = Node | undefined;

interface Node extends Run {
  /** The longest run of this subtree. */
  most: number;
  /** No node below has a greater one. */
  readonly rank: number;
  left: Tree;
  right: Tree;
}

/** The tree with one run more, which must not overlap any other. */
export function inserted(tree: Tree, { at, count }: Run): Tree {
  return place(tree, {
    at,
    count,
    most: count,
    rank: rankOf(at),
    left: undefined,
    right: undefined,
  });
}

/** The tree without the run that begins at `at`, which must be there. */
export function removed(tree: Node, at: number): Tree {
  if (tree.at === at) return merged(tree.left, tree.right);
  if (at < tree.at) tree.left = removed(tree.left as Node, at);
  else tree.right = removed(tree.right as Node, at);
  return measured(tree);
}

/** The lowest run of at least `count` units. */
export function firstFit(tree: Tree, count: number): Run | undefined {
  let node = tree;
  while (node && node.most >= count) {
    if (mostOf(node.left) >= count) node = node.left;
    else if (node.count >= count) return node;
    else node = node.right;
  }
  return undefined;
}

/** All runs of at least `count` units, the lowest first. */
export function* fitting(tree: Tree, count: number): Generator<Run> {
  if (!tree || tree.most < count) return;
  yield* fitting(tree.left, count);
  if (tree.count >= count) yield tree;
  yield* fitting(tree.right, count);
}

/** The last run that begins below `at`. */
export function below(tree: Tree, at: number): Run | undefined {
  let best: Tree;
  for (let node = tree; node; ) {
    if (node.at < at) best = node;
    node = node.at < at ? node.right : node.left;
  }
  return best;
}

/** The run that begins at `at`. */
export function beginningAt(tree: Tree, at: number): Run | undefined {
  let node = tree;
  while (node && node.at !== at) node = at < node.at ? node.left : node.right;
  return node;
}

/** All runs in the order of their addresses. */
export function* runsOf(tree: Tree): Generator<Run> {
  if (!tree) return;
  yield* runsOf(tree.left);
  yield tree;
  yield* runsOf(tree.right);
}

/** Whether runs ascend without touching each other, and every node knows its subtree; for tests. */
export function treeIsValid(tree: Tree): boolean {
  let end = -1;
  for (const { at, count } of runsOf(tree)) {
    if (count <= 0 || at <= end) return false;
    end = at + count;
  }
  return nodeIsValid(tree);
}

function nodeIsValid(node: Tree): boolean {
  if (!node) return true;
  const { left, right, rank, count, most } = node;
  if (Math.max(left?.rank ?? 0, right?.rank ?? 0) > rank) return false;
  if (most !== Math.max(count, mostOf(left), mostOf(right))) return false;
  return nodeIsValid(left) && nodeIsValid(right);
}

function place(tree: Tree, node: Node): Node {
  if (!tree) return node;
  if (node.rank > tree.rank) {
    [node.left, node.right] = parted(tree, node.at);
    return measured(node);
  }
  if (node.at < tree.at) tree.left = place(tree.left, node);
  else tree.right = place(tree.right, node);
  return measured(tree);
}

/** The runs below an address, and those above it. */
function parted(tree: Tree, at: number): [Tree, Tree] {
  if (!tree) return [undefined, undefined];
  if (tree.at < at) {
    const [low, high] = parted(tree.right, at);
    tree.right = low;
    return [measured(tree), high];
  }
  const [low, high] = parted(tree.left, at);
  tree.left = high;
  return [low, measured(tree)];
}

/** One tree of two, where all runs of the first lie below those of the second. */
function merged(low: Tree, high: Tree): Tree {
  if (!low || !high) return low ?? high;
  if (low.rank > high.rank) {
    low.right = merged(low.right, high);
    return measured(low);
  }
  high.left = merged(low, high.left);
  return measured(high);
}

function measured(node: Node): Node {
  node.most = Math.max(node.count, mostOf(node.left), mostOf(node.right));
  return node;
}

function mostOf(tree: Tree): number {
  return tree ? tree.most : 0;
}

/** Mixes an address: neighbours, and multiples of a power of two, get ranks in no order. */
function rankOf(at: number): number {
  let word = Math.imul(at ^ (at >>> 16), 0x45d9f3b);
  word = Math.imul(word ^ (word >>> 15), 0x2c1b3c6d);
  return (word ^ (word >>> 16)) >>> 0;
}
