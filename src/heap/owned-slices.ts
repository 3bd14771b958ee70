/** Which slices of a memory are the heap's, as its structures say: a question asked rarely. */
import { heapDamaged } from "../common/errors.ts";
import * as L from "../core/layout/layout.ts";
import { areas } from "./stats/counts.ts";
import { spansCheck } from "./stats/damage.ts";
import { pages } from "./stats/walk.ts";

type Run = readonly [first: number, end: number];

/** Whether any slice of [first, end) belongs to the heap at `state`. */
export function rangeIsOurs(
  words: Uint32Array,
  state: number,
  first: number,
  end: number,
  shared: boolean,
): boolean {
  const runs = shared ? sharedRuns(words, state, first, end) : spanRuns(words, state);
  for (const all of [ownRuns(words, state, shared), runs]) {
    for (const [from, to] of all) if (from < end && first < to) return true;
  }
  return false;
}

/** State, pages, arenas, and slices of tables. */
function* ownRuns(words: Uint32Array, state: number, shared: boolean): Generator<Run> {
  const word = (at: number) => words[at >>> 2] as number;
  const slice = (at: number) => Math.floor(at / L.SLICE_SIZE);
  const one = (at: number): Run => [slice(at), at === 0 ? 0 : slice(at) + 1];
  yield [slice(state), slice(state) + (shared ? L.SHARED_STATE_SLICES : 1)];
  for (const page of pages(words, state)) {
    const from = slice(word(page + L.D_START));
    yield [from, from + word(page + L.D_SLICES)];
  }
  for (const { first, count } of arenas(words, state)) yield [first, first + count];
  for (let chunk = 0; chunk < 128; chunk++) yield one(word(state + L.S_CHUNKS + 4 * chunk));
  yield one(word(state + L.S_TABLE_SPARE));
  yield one(word(state + L.S_ARENAS));
  if (shared) return;
  for (const at of areas(words, state, false)) if (at % L.SLICE_SIZE === 0) yield one(at);
}

/** Free slices of a heap for one thread. */
function* spanRuns(words: Uint32Array, state: number): Generator<Run> {
  const word = (at: number) => words[at >>> 2] as number;
  spansCheck(words, state);
  for (let bin = 1; bin < L.SPAN_BINS; bin++) {
    for (let span = word(state + L.S_SPANS + 4 * bin); span !== 0; span = word(span + L.D_NEXT)) {
      const from = word(span + L.D_START) / L.SLICE_SIZE;
      yield [from, from + word(span + L.D_SLICES)];
    }
  }
}

/** Slices of a range that a shared heap has marked as its own. */
function* sharedRuns(
  words: Uint32Array,
  state: number,
  first: number,
  end: number,
): Generator<Run> {
  for (let slice = first; slice < end; slice++) {
    const table = words[(state + L.S_CHUNKS + 4 * (slice >>> L.CHUNK_SHIFT)) >>> 2] as number;
    const desc = table + ((slice & (L.CHUNK_SLICES - 1)) << L.DESC_SHIFT);
    if (table !== 0 && words[(desc + L.D_BIN) >>> 2] !== L.BIN_NONE) yield [slice, slice + 1];
  }
}

/** First slice and number of slices of every arena; a number of 0: it never came to be. */
export function* arenas(
  words: Uint32Array,
  state: number,
): Generator<{ first: number; count: number }> {
  const word = (at: number) => words[at >>> 2] as number;
  const bits = word(state + L.S_ARENAS);
  const count = word(state + L.S_ARENA_COUNT);
  if (count > L.ARENAS_MAX) throw heapDamaged(state + L.S_ARENA_COUNT);
  for (let i = 0; i < count; i++) {
    const record = bits + L.ARENA_RECORDS + (i << L.ARENA_RECORD_SHIFT);
    const [first, slices] = [word(record + L.A_FIRST) >>> 0, word(record + L.A_COUNT) >>> 0];
    if (first + slices > L.SLICES_MAX) throw heapDamaged(record);
    yield { first, count: slices };
  }
}
