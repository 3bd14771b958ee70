/**
 * Random order of fresh blocks (specification 18.2). An extension is divided into up to 64 runs of
 * blocks; the list takes its next block from a random run, within a run by ascending address. The
 * unhardened build hands fresh blocks out from a mark; here they are linked, so an extension is
 * written at once.
 */

import { heapBase } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { load32, store32 } from "../target/glue.ts";
import { shuffle32 } from "./encode.ts";
import { featureOn } from "./features.ts";
import { linkStore, pageSeal } from "./links.ts";
import { randomNext } from "./random.ts";

/** The largest power of two that is at most `count` and SHUFFLE_RUNS. */
function runsFor(count: u32): u32 {
  let runs: u32 = L.SHUFFLE_RUNS;
  while (runs > count) runs = runs >>> 1;
  return runs;
}

/** Address of the word that holds the next block of a run. */
function cursor(run: u32): usize {
  return heapBase + L.H_SHUFFLE + (run << 2);
}

/** As pageExtend, for at least SHUFFLE_MIN blocks, which are put before `free` in random order. */
export function pageExtendShuffled(page: usize): void {
  const block: u32 = load32(page, L.D_BLOCK);
  const start: usize = load32(page, L.D_FRESH_END);
  const few: u32 = (L.EXTEND_SIZE / block) >>> 0;
  const most: u32 = ((load32(page, L.D_END) - start) / block) >>> 0;
  const wanted: u32 = few > L.SHUFFLE_MIN ? few : L.SHUFFLE_MIN;
  const count: u32 = wanted < most ? wanted : most;
  const end: usize = start + count * block;
  const head: usize = count === 1 ? start : blocksShuffle(page, start, count);
  if (count === 1) linkStore(page, start, load32(page, L.D_FREE));
  // Marked as freed, so that a free of a block that was never allocated is reported.
  if (featureOn(L.HARD_RECORD) && featureOn(L.HARD_DOUBLE_FREE)) {
    for (let p: usize = start; p < end; p += block) {
      store32(p + block - L.RECORD_SIZE, L.R_CANARY, ~pageSeal(page, p) >>> 0);
    }
  }
  store32(page, L.D_FRESH_END, end);
  store32(page, L.D_FRESH, end);
  store32(page, L.D_FREE, head);
}

/** Links `count` blocks from `start` on in random order before `free`; returns the first. */
function blocksShuffle(page: usize, start: usize, count: u32): usize {
  const block: u32 = load32(page, L.D_BLOCK);
  const runs: u32 = runsFor(count);
  const bytes: u32 = ((count / runs) >>> 0) * block;
  for (let i: u32 = 0; i < runs; i++) store32(cursor(i), 0, start + i * bytes);
  const seed: u32 = randomNext();
  let random: u32 = shuffle32((seed | 1) >>> 0);
  let last: usize = runTake((seed & (runs - 1)) >>> 0, block);
  const head: usize = last;
  for (let i: u32 = 1; i < count; i++) {
    const byte: u32 = i & (L.POINTER_SIZE - 1);
    if (byte === 0) random = shuffle32(random);
    const wish: u32 = ((random >>> (byte << 3)) & (runs - 1)) >>> 0;
    const next: usize = runTake(
      runWithBlock(wish, runs, start, bytes, start + count * block),
      block,
    );
    linkStore(page, last, next);
    last = next;
  }
  linkStore(page, last, load32(page, L.D_FREE));
  return head;
}

function runTake(run: u32, block: u32): usize {
  const p: usize = load32(cursor(run), 0);
  store32(cursor(run), 0, p + block);
  return p;
}

/** The first run from `wish` on, cyclically, that has a block left; the last run ends at `end`. */
function runWithBlock(wish: u32, runs: u32, start: usize, bytes: u32, end: usize): u32 {
  let run: u32 = wish;
  while (load32(cursor(run), 0) === (run === runs - 1 ? end : start + (run + 1) * bytes)) {
    run = (run + 1) & (runs - 1);
  }
  return run;
}
