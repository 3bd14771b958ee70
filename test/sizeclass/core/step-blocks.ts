/**
 * What the programs of virtual threads do with blocks: each is marked, recorded in a cell, and
 * entered in a map of live memory, so that a block that is given twice is found at once.
 */
import assert from "node:assert/strict";
import { SizeClassError } from "#src/sizeclass/index.js";
import { CELL_SIZES, CELLS_EACH, type Thread } from "./steps.js";

/** Bytes of a unit of the map. */
const LIVE_LOG = 9;

export type Allocate = (thread: Thread, size: number) => number;

const plainly: Allocate = ({ hard, heap }, size) => (hard ?? heap).malloc(size);

/** Allocates and records the block in a cell of the thread; 0 = out of memory. */
export function keep(thread: Thread, slot: number, size: number, how = plainly): number {
  const p = how(thread, size);
  if (p !== 0) hold(thread, thread.number * CELLS_EACH + slot, p, size);
  return p;
}

/** Records a block in a cell. */
export function hold(thread: Thread, cell: number, p: number, size: number): void {
  thread.meet(cell);
  claim(thread, p, size, cell + 1);
  const { words, cells } = thread;
  words.fill(cookie(p, cell), p >>> 2, (p + Math.min(size, 64)) >>> 2);
  words[(p + size - 4) >>> 2] = cookie(p, cell);
  cells[CELL_SIZES + cell] = size;
  Atomics.store(cells, cell, p | 0);
}

function cookie(p: number, cell: number): number {
  return (p ^ ((cell + 1) * 0x9e3779b9)) >>> 0;
}

/** Enters the owner of a range, which must have had none. */
function claim({ live }: Thread, p: number, size: number, by: number): void {
  for (let at = p >>> LIVE_LOG; at <= (p + size - 1) >>> LIVE_LOG; at++) {
    const had = live[at] as number;
    assert.equal(had, 0, `the block at ${p} of cell ${by - 1} is that of cell ${had - 1}`);
    live[at] = by;
  }
}

/** Takes the block out of a cell of any thread. Its marks must be intact. */
export function take(thread: Thread, owner: number, slot: number): number {
  const { words, cells, live } = thread;
  const cell = owner * CELLS_EACH + slot;
  thread.meet(cell);
  const p = Atomics.exchange(cells, cell, 0) >>> 0;
  if (p === 0) return 0;
  const size = cells[CELL_SIZES + cell] as number;
  const marks = [words[p >>> 2], words[(p + size - 4) >>> 2]];
  assert.deepEqual(marks, [cookie(p, cell), cookie(p, cell)], `marks of cell ${cell} at ${p}`);
  live.fill(0, p >>> LIVE_LOG, ((p + size - 1) >>> LIVE_LOG) + 1);
  return p;
}

/** Frees the block in a cell of any thread. Returns whether there was one. */
export function drop(thread: Thread, owner: number, slot: number): boolean {
  const p = take(thread, owner, slot);
  if (p !== 0) (thread.hard ?? thread.heap).free(p);
  return p !== 0;
}

/** Frees all blocks of a thread that are in cells. */
export function dropAll(thread: Thread, owner = thread.number): void {
  for (let slot = 0; slot < CELLS_EACH; slot++) drop(thread, owner, slot);
}

export function keepMany(thread: Thread, count: number, size: number, from = 0): void {
  for (let i = 0; i < count; i++) assert.ok(keep(thread, from + i, size), "memory for the program");
}

/** Fills the cache of a thread: the next free empties half of it. */
export function cacheFill(t: Thread, size: number): void {
  keepMany(t, 4, size, 20);
  for (let i = 0; i < 4; i++) drop(t, t.number, 20 + i);
}

/** Takes chunks without the cache; none if another thread keeps the lock for too long. */
export function getMany({ heap }: Thread, cls: number, n: number): number[] {
  return unlessLocked(() => heap.primary.getFrom(cls, n)) ?? [];
}

/** Returns chunks without the cache; if the lock is held, through it. */
export function giveMany({ heap }: Thread, cls: number, chunks: number[]): void {
  const given = unlessLocked(() => {
    heap.primary.returnTo(cls, chunks);
    return true;
  });
  if (!given) for (const p of chunks) heap.free(p);
}

function unlessLocked<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof SizeClassError && error.code === "ERR_LOCKED") return undefined;
    throw error;
  }
}
