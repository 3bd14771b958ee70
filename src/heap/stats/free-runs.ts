/** The longest run of free slices, of which the largest block is made without growth. */
import * as L from "../../core/layout/layout.ts";

/** Words of the memory, indexed by address / 4. */
type Words = Uint32Array;

/** Slices of the longest run that is free in the memory or in an arena. */
export function freeRunLongest(words: Words, state: number, shared: boolean): number {
  const word = (at: number) => words[at >>> 2] as number;
  const top = word(state + L.S_TOP);
  const common = shared
    ? runLongest(words, state + L.STATE_FREE, 0, top)
    : spanLongest(words, state);
  const bits = word(state + L.S_ARENAS);
  let longest = common;
  for (let i = 0; bits !== 0 && i < Math.min(word(state + L.S_ARENA_COUNT), L.ARENAS_MAX); i++) {
    const record = bits + L.ARENA_RECORDS + (i << L.ARENA_RECORD_SHIFT);
    const first = word(record + L.A_FIRST);
    const end = Math.min(first + word(record + L.A_COUNT), top);
    longest = Math.max(longest, runLongest(words, bits, first, end));
  }
  return longest;
}

/** Slices of the longest span. A list that is damaged is left after as many spans as can be. */
function spanLongest(words: Words, state: number): number {
  let longest = 0;
  let left = L.SLICES_MAX;
  for (let bin = 1; bin < L.SPAN_BINS; bin++) {
    let span = words[(state + L.S_SPANS + 4 * bin) >>> 2] as number;
    while (span !== 0 && left-- > 0) {
      longest = Math.max(longest, words[(span + L.D_SLICES) >>> 2] as number);
      span = words[(span + L.D_NEXT) >>> 2] as number;
    }
  }
  return longest;
}

/** The longest run of ones in the bits [from, end) of a bitmap. */
function runLongest(words: Words, bitmap: number, from: number, end: number): number {
  let longest = 0;
  let run = 0;
  for (let slice = from; slice < end; slice++) {
    const bits = words[(bitmap + ((slice >>> 5) << 2)) >>> 2] as number;
    if (bits === 0 && (slice & 31) === 0) {
      run = 0;
      slice += 31;
      continue;
    }
    run = ((bits >>> (slice & 31)) & 1) !== 0 ? run + 1 : 0;
    longest = Math.max(longest, run);
  }
  return longest;
}

/** How far free bytes are in pieces: 0 = in one piece or none, nearly 1 = in many. */
export function fragmentationOf(largest: number, free: number): number {
  return free === 0 ? 0 : 1 - largest / free;
}
