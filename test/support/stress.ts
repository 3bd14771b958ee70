/** What the stress Workers and their test share. */
import type { HeapHandle } from "#src/heap/shared.js";

/** Blocks that a Worker has at a time. Shared words hold their addresses, also after its death. */
export const SLOTS = 512;
/** Blocks that are passed from one Worker to another. */
export const EXCHANGE = 64;
/** Words before the exchange: number of operations of all Workers, and 1 = stop. */
export const WORD_DONE = 0;
export const WORD_STOP = 1;
/**
 * From here on for each table: operations that its Worker has begun, times 8, plus the current one.
 */
export const WORD_DOING = 2;
export const WORD_EXCHANGE = 16;
export const WORD_TABLES = WORD_EXCHANGE + EXCHANGE;

/** What a Worker may be doing: three bits of its word. */
export const DOING = ["nothing", "grab", "handOn", "resize", "drop", "collect", "finish"] as const;

export interface StressTask {
  handle: HeapHandle;
  words: SharedArrayBuffer;
  /** The table of slots that this Worker uses. */
  table: number;
  seed: number;
  /** Operations until it ends; 0 = it ends when it is asked to, or is terminated. */
  operations: number;
  /** The operation at which it throws, to test the crew; 0 = none. */
  fault: number;
}

export function stressWords(tables: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer((WORD_TABLES + tables * SLOTS) * 4));
}

/**
 * Records what the Worker of a table begins. A plain store: it is read only when a Worker hangs.
 */
export function doing(words: Int32Array, table: number, what: (typeof DOING)[number]): void {
  const word = WORD_DOING + table;
  words[word] = ((((words[word] as number) >>> 3) + 1) << 3) | DOING.indexOf(what);
}

/**
 * Writes the size, and a cookie made of size and address, at the beginning and the end of a block.
 */
export function mark(u32: Uint32Array, p: number, size: number): void {
  u32[p >>> 2] = size;
  u32[(p >>> 2) + 1] = cookie(p, size);
  u32[(p + size - 4) >>> 2] = cookie(p, size);
}

/** The size of a marked block; throws when its marks were overwritten. */
export function marked(u32: Uint32Array, p: number): number {
  const size = u32[p >>> 2] as number;
  const last = u32[(p + size - 4) >>> 2];
  if (size < 12 || last !== cookie(p, size))
    throw new Error(`block ${p} of ${size} bytes: damaged`);
  if (size > 12 && u32[(p >>> 2) + 1] !== cookie(p, size)) throw new Error(`block ${p}: damaged`);
  return size;
}

function cookie(p: number, size: number): number {
  return (Math.imul(p ^ 0x5bd1e995, 0x9e3779b1) ^ size) >>> 0;
}
