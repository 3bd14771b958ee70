/** Binary trees, as in the Computer Language Benchmarks Game: a region for each tree. */
import { type AllocatorBase, arena, currentRegion, enter, openRegion } from "terrane/layers";

const LEAST = 4;

/** What a tree needs of an allocator. */
export type TreeHome = Pick<AllocatorBase, "malloc" | "free" | "u32">;

/** A tree of 2^(depth + 1) - 1 nodes: left and right in 8 bytes. */
export function treeMake(home: TreeHome, depth: number): number {
  const node = home.malloc(8);
  if (node === 0) throw new Error("out of memory");
  const left = depth === 0 ? 0 : treeMake(home, depth - 1);
  const right = depth === 0 ? 0 : treeMake(home, depth - 1);
  const words = home.u32;
  words[node >>> 2] = left;
  words[(node >>> 2) + 1] = right;
  return node;
}

/** How many nodes a tree has. */
export function treeCount(home: TreeHome, node: number): number {
  const words = home.u32;
  const left = words[node >>> 2] as number;
  if (left === 0) return 1;
  return 1 + treeCount(home, left) + treeCount(home, words[(node >>> 2) + 1] as number);
}

/** Frees a tree node by node: what a region makes needless. */
export function treeFree(home: TreeHome, node: number): void {
  const left = home.u32[node >>> 2] as number;
  const right = home.u32[(node >>> 2) + 1] as number;
  if (left !== 0) {
    treeFree(home, left);
    treeFree(home, right);
  }
  home.free(node);
}

function inRegion(depth: number): number {
  return enter(arena, (region) => treeCount(region, treeMake(region, depth)), { label: "tree" });
}

/** @param args the depth: 10 unless given, 21 as the game has it */
export function binarytree(args: string[], print: (line: string) => void): void {
  const depth = Number(args[0] ?? 10);
  if (!Number.isInteger(depth) || depth < 0 || depth > 24) {
    throw new RangeError(`the depth must be a whole number from 0 to 24, not ${args[0]}`);
  }
  const most = Math.max(LEAST + 2, depth);
  print(`stretch tree of depth ${most + 1}\t check: ${inRegion(most + 1)}`);
  using long = openRegion(arena, { label: "long lived" }); // the short ones do not live in it
  const tree = treeMake(long, most);
  for (let size = LEAST; size <= most; size += 2) {
    const count = 2 ** (most - size + LEAST);
    let check = 0;
    for (let i = 0; i < count; i++) check += inRegion(size);
    print(`${count}\t trees of depth ${size}\t check: ${check}`);
  }
  print(`long lived tree of depth ${most}\t check: ${treeCount(long, tree)}`);
  long.destroy();
  print(`left after the regions: ${currentRegion().stats().bytes} bytes`);
}
