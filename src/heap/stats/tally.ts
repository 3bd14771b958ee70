/**
 * What statistics of level 1 and 2 count: the blocks of each size, in a table of the memory itself,
 * so that all threads count together and the counts of a thread outlive it. See layout.ts.
 */
import * as L from "../../core/layout/layout.ts";

type Words = Uint32Array;

/** A number over time: `total - freed` is `current`. */
export interface CountOf {
  /** The most that it was at once. */
  readonly peak: number;
  /** All that have come. */
  readonly total: number;
  /** All that have gone. */
  readonly freed: number;
  /** Those that are there. */
  readonly current: number;
}

/** Blocks of up to 64 KiB, which is the largest of a page, of up to 16 MiB, and larger ones. */
export type Kind = "normal" | "large" | "huge";
export const kinds: readonly Kind[] = ["normal", "large", "huge"];

/** The blocks of a kind. */
export interface KindCount {
  /** Their bytes. */
  readonly bytes: CountOf;
  /** How many blocks. */
  readonly blocks: CountOf;
}

function indexOf(state: number, tally: number): number {
  return (state + L.STATE_TALLY + (tally << L.TALLY_SHIFT)) >>> 2;
}

/** Adds to a total of 64 bits. */
function totalAdd(words: Words, at: number, n: number): void {
  const before = Atomics.add(words, at + L.T_TOTAL / 4, n) >>> 0;
  if (before + n > 0xffffffff) Atomics.add(words, at + L.T_HIGH / 4, 1);
}

function nowAdd(words: Words, at: number, n: number): void {
  totalAdd(words, at, n);
  const now = (Atomics.add(words, at + L.T_NOW / 4, n) + n) >>> 0;
  const peak = at + L.T_PEAK / 4;
  for (let seen = Atomics.load(words, peak); now > seen; ) {
    const was = Atomics.compareExchange(words, peak, seen, now);
    if (was === seen) return;
    seen = was;
  }
}

function kindOf(bytes: number): number {
  if (bytes <= L.MEDIUM_MAX) return 0;
  return bytes <= L.KIND_LARGE_MAX ? 1 : 2;
}

/** As binSize of the core, which cannot be imported without a memory. Tested against it. */
function smallBytes(bin: number): number {
  if (bin <= 8) return bin * 8;
  if (bin <= 24) return (((bin + 3) & 3) + 5) << (((bin + 3) >>> 2) + 1);
  return (((bin - 25) & 7) + 9) << (((bin - 25) >>> 3) + 7);
}

const smallBins = new Map(
  Array.from({ length: L.BIN_LAST }, (_, i) => [smallBytes(i + 1), i + 1] as const),
);

/** The bin of a block of a page; medium ones of n units are numbered BIN_MEDIUM + n. */
export function binOfBlock(bytes: number): number {
  return smallBins.get(bytes) ?? L.BIN_MEDIUM + bytes / L.UNIT_SIZE;
}

/** The bytes of a block of a bin. */
export function binBytes(bin: number): number {
  return bin <= L.BIN_LAST ? smallBytes(bin) : (bin - L.BIN_MEDIUM) * L.UNIT_SIZE;
}

/** Counts a block that has come into use. */
export function tallyIn(words: Words, state: number, bytes: number, bins: boolean): void {
  const kind = kindOf(bytes);
  nowAdd(words, indexOf(state, L.TALLY_BYTES + kind), bytes);
  nowAdd(words, indexOf(state, L.TALLY_BLOCKS + kind), 1);
  if (bins && kind === 0) nowAdd(words, indexOf(state, binOfBlock(bytes)), 1);
}

/** Counts a block that has gone. */
export function tallyOut(words: Words, state: number, bytes: number, bins: boolean): void {
  const kind = kindOf(bytes);
  const take = (tally: number, n: number) =>
    Atomics.sub(words, indexOf(state, tally) + L.T_NOW / 4, n);
  take(L.TALLY_BYTES + kind, bytes);
  take(L.TALLY_BLOCKS + kind, 1);
  if (bins && kind === 0) take(binOfBlock(bytes), 1);
}

/** Counts what a request asked for. */
export function tallyRequest(words: Words, state: number, bytes: number): void {
  totalAdd(words, indexOf(state, L.TALLY_ASKED), bytes);
}

export function readTally(words: Words, state: number, tally: number): CountOf {
  const at = indexOf(state, tally);
  const word = (offset: number) => Atomics.load(words, at + offset / 4) >>> 0;
  const total = word(L.T_HIGH) * 2 ** 32 + word(L.T_TOTAL);
  const current = word(L.T_NOW);
  return { peak: word(L.T_PEAK), total, freed: total - current, current };
}

export function readKind(words: Words, state: number, kind: number): KindCount {
  return {
    bytes: readTally(words, state, L.TALLY_BYTES + kind),
    blocks: readTally(words, state, L.TALLY_BLOCKS + kind),
  };
}

/** Forgets everything. */
export function clearTallies(words: Words, state: number): void {
  words.fill(0, indexOf(state, 0), indexOf(state, L.TALLIES));
}

/** Totals and peaks begin again with the blocks that live now. */
export function resetTallies(words: Words, state: number): void {
  for (let tally = 0; tally < L.TALLIES; tally++) {
    const at = indexOf(state, tally);
    const now = Atomics.load(words, at + L.T_NOW / 4);
    Atomics.store(words, at + L.T_TOTAL / 4, now);
    Atomics.store(words, at + L.T_HIGH / 4, 0);
    Atomics.store(words, at + L.T_PEAK / 4, now);
  }
}
