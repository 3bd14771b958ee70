/**
 * How the programs of virtual threads use blocks: each has a cookie, and a cell holds its address.
 */
import assert from "node:assert/strict";
import { CELLS_EACH, type Thread } from "./steps.js";

/** Eight of these fill a page. */
export const BIG = 8000;
export const MEDIUM = 20000;
export const LARGE = 300000;

/** Allocates, writes a cookie, and stores the block in a cell of the thread; 0 = out of memory. */
export function keep({ core, words, cells, number }: Thread, slot: number, size: number): number {
  const p = core.malloc(size) >>> 0;
  if (p === 0) return 0;
  const cell = number * CELLS_EACH + slot;
  words.fill(cookie(p, cell), p >>> 2, (p + Math.min(size, 64)) >>> 2);
  words[(p + size - 4) >>> 2] = cookie(p, cell);
  Atomics.store(cells, cell, p | 0);
  return p;
}

function cookie(p: number, cell: number): number {
  return (p ^ (cell * 0x9e3779b9)) >>> 0;
}

/** Takes a block, of any thread, out of its cell and frees it; its cookie must be intact. */
export function drop({ core, words, cells }: Thread, owner: number, slot: number): boolean {
  const cell = owner * CELLS_EACH + slot;
  const p = Atomics.exchange(cells, cell, 0) >>> 0;
  if (p === 0) return false;
  assert.equal(words[p >>> 2], cookie(p, cell), `cookie of cell ${cell} at ${p}`);
  core.free(p);
  return true;
}

/** Frees all blocks of a thread that are in cells. */
export function dropAll(thread: Thread, owner = thread.number): void {
  for (let slot = 0; slot < CELLS_EACH; slot++) drop(thread, owner, slot);
}

export function keepMany(thread: Thread, count: number, size: number, from = 0): void {
  for (let i = 0; i < count; i++) assert.ok(keep(thread, from + i, size), "memory for the program");
}
