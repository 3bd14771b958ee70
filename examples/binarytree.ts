/** Binary trees, as in the Computer Language Benchmarks Game: a region for each tree. */
import { type AllocatorBase, arena, currentRegion, enter, openRegion } from "terrane/layers";

const LEAST = 4;

/** The part of an allocator that a tree needs. */
export type TreeAllocator = Pick<AllocatorBase, "malloc" | "free" | "u32">;

/** A tree of 2^(depth + 1) - 1 nodes: left and right in 8 bytes. */
export function treeMake(allocator: TreeAllocator, depth: number): number {
  const node = allocator.malloc(8);
  if (node === 0) throw new Error("out of memory");
  const left = depth === 0 ? 0 : treeMake(allocator, depth - 1);
  const right = depth === 0 ? 0 : treeMake(allocator, depth - 1);
  const words = allocator.u32;
  words[node >>> 2] = left;
  words[(node >>> 2) + 1] = right;
  return node;
}

/** Number of nodes of a tree. */
export function treeCount(allocator: TreeAllocator, node: number): number {
  const words = allocator.u32;
  const left = words[node >>> 2] as number;
  if (left === 0) return 1;
  return 1 + treeCount(allocator, left) + treeCount(allocator, words[(node >>> 2) + 1] as number);
}

/** Frees a tree node by node, which a region makes unnecessary. */
export function treeFree(allocator: TreeAllocator, node: number): void {
  const left = allocator.u32[node >>> 2] as number;
  const right = allocator.u32[(node >>> 2) + 1] as number;
  if (left !== 0) {
    treeFree(allocator, left);
    treeFree(allocator, right);
  }
  allocator.free(node);
}

function inRegion(depth: number): number {
  return enter(arena, (region) => treeCount(region, treeMake(region, depth)), { label: "tree" });
}

/** @param args the depth, from 0 to 24; the benchmarks game has 21. Default: 10. */
export function binarytree(args: string[], print: (line: string) => void): void {
  const depth = Number(args[0] ?? 10);
  if (!Number.isInteger(depth) || depth < 0 || depth > 24) {
    throw new RangeError(`the depth must be a whole number from 0 to 24, not ${args[0]}`);
  }
  const most = Math.max(LEAST + 2, depth);
  print(`stretch tree of depth ${most + 1}\t check: ${inRegion(most + 1)}`);
  using long = openRegion(arena, { label: "long lived" }); // the short-lived trees are not in it
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
