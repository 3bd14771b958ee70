/**
 * A thread's own chunks: the fast path. Each class has a stack, filled and emptied in batches, so
 * that the lock of a class is acquired once for many blocks.
 */
import { atomicCas, atomicLoad, atomicStore } from "../../core/target/atomics.ts";
import { errorRaise, load32, memoryCopy, store32 } from "../../core/target/glue.ts";
import { classes } from "./classes.ts";
import * as L from "./layout.ts";
import { lockAcquire, lockRelease } from "./lock.ts";
import { chunksReserve, chunksReturn, chunksTake, lateListPush } from "./region.ts";
import { regionClass } from "./regions.ts";
import { regionRelease, releaseMaybe } from "./release.ts";
import { scale } from "./space.ts";
import {
  arrayAt,
  baseOf,
  cache,
  cacheAt,
  cacheShift,
  cacheStacks,
  control,
  infoOf,
  mapRegions,
  regionShift,
} from "./state.ts";

/** Takes a chunk of a class; 0 = none. */
export function chunkPop(cls: u32): usize {
  const at: usize = cache + cls * 8;
  const count: u32 = load32(at, L.K_COUNT);
  if (count === 0) return chunkPopRefilled(cls);
  store32(at, L.K_COUNT, count - 1);
  const entry: usize = cacheStacks + scale(cls, cacheShift) + (count - 1) * 4;
  return baseOf(cls) + load32(entry, 0) * 16;
}

/** Puts a chunk into the cache. */
export function chunkPush(cls: u32, compact: u32): void {
  const at: usize = cache + cls * 8;
  const count: u32 = load32(at, L.K_COUNT);
  if (count >= load32(at, L.K_BOUND)) {
    chunkPushDrained(cls, compact);
  } else {
    store32(cacheStacks + scale(cls, cacheShift) + count * 4, 0, compact);
    store32(at, L.K_COUNT, count + 1);
  }
}

/** Class 0 stands for size 0, which gets a chunk of class 1. */
function chunkPopRefilled(cls: u32): usize {
  const real: u32 = cls === 0 ? 1 : cls;
  const count: u32 = refill(real);
  if (count === 0) return 0;
  const at: usize = cache + real * 8;
  store32(at, L.K_COUNT, count - 1);
  const entry: usize = cacheStacks + scale(real, cacheShift) + (count - 1) * 4;
  return baseOf(real) + load32(entry, 0) * 16;
}

/** Whether the cache or the class may have a free chunk: a guess, without the lock. */
export function chunkIsLikely(cls: u32): bool {
  return load32(cache + cls * 8, L.K_COUNT) !== 0 || load32(infoOf(cls), L.R_FREED) !== 0;
}

/** Fills the empty stack of a class. Returns the number of chunks on it. */
function refill(cls: u32): u32 {
  const at: usize = cache + cls * 8;
  if (load32(at, L.K_COUNT) !== 0) return load32(at, L.K_COUNT);
  const info: usize = infoOf(cls);
  store32(at, L.K_BOUND, load32(info, L.R_HINT) * 2);
  if (!lockAcquire(info + L.R_LOCK)) return 0;
  const count: u32 = refillLocked(cls, cacheStacks + scale(cls, cacheShift));
  lockRelease(info + L.R_LOCK);
  if (count === 0) regionFullReport(cls);
  return count;
}

/**
 * Takes a batch, or the rest of the free array, or a single new chunk. On demand a new region has
 * several batches, so if no batch can be had, no chunk can.
 */
function refillLocked(cls: u32, to: usize): u32 {
  const info: usize = infoOf(cls);
  const hint: u32 = load32(info, L.R_HINT);
  if (stackFill(cls, hint, to)) return hint;
  const left: u32 = load32(info, L.R_FREED);
  if (left === 0 && mapRegions !== 0) return 0;
  const few: u32 = left === 0 ? 1 : left < hint ? left : hint;
  return stackFill(cls, few, to) ? few : 0;
}

function stackFill(cls: u32, n: u32, to: usize): bool {
  const first: u32 = chunksTake(cls, n);
  if (first === L.NONE) return false;
  memoryCopy(to, arrayAt(cls) + first * 4, n * 4);
  return true;
}

/** Once for each class: a class that is full stays so for long. */
function regionFullReport(cls: u32): void {
  const info: usize = infoOf(cls);
  if (atomicLoad(info, L.R_REPORTED) !== 0 || !atomicCas(info, L.R_REPORTED, 0, 1)) return;
  errorRaise(L.REGION_FULL + cls, 0);
}

/**
 * Returns the newest half of the stack, then pushes the chunk. If its region was released with that
 * half, the chunk was free already.
 */
function chunkPushDrained(cls: u32, compact: u32): void {
  const at: usize = cache + cls * 8;
  const bound: u32 = load32(infoOf(cls), L.R_HINT) * 2;
  store32(at, L.K_BOUND, bound);
  const found: u32 = load32(at, L.K_COUNT) < bound ? L.NONE : drain(cache, cls, bound >>> 1);
  if (mapRegions !== 0 && regionClass(compact >>> (regionShift - 4)) !== cls) {
    mistakeReport(cls, compact);
  } else {
    const count: u32 = load32(at, L.K_COUNT);
    store32(cacheStacks + scale(cls, cacheShift) + count * 4, 0, compact);
    store32(at, L.K_COUNT, count + 1);
    if (found !== L.NONE) mistakeReport(cls, found);
  }
}

/** Result of drain, besides NONE and a chunk that was freed twice. */
const TOO_MANY: u32 = 0xfffffffe;

/** Returns the n newest chunks of a class. NONE, TOO_MANY, or a chunk that was freed twice. */
function drain(base: usize, cls: u32, n: u32): u32 {
  const info: usize = infoOf(cls);
  const left: u32 = load32(base + cls * 8, L.K_COUNT) - n;
  const from: usize = base + L.CACHE_HEAD + scale(cls, cacheShift) + left * 4;
  store32(base + cls * 8, L.K_COUNT, left);
  if (!lockAcquire(info + L.R_LOCK)) {
    for (let i: u32 = 0; i < n; i++) lateListPush(cls, load32(from + i * 4, 0));
    return L.NONE;
  }
  const found: u32 = drainLocked(cls, from, n);
  lockRelease(info + L.R_LOCK);
  return found;
}

function drainLocked(cls: u32, from: usize, n: u32): u32 {
  if (!chunksReserve(cls, n)) return TOO_MANY;
  memoryCopy(arrayAt(cls) + load32(infoOf(cls), L.R_FREED) * 4, from, n * 4);
  chunksReturn(cls, n);
  return releaseMaybe(cls);
}

/** Reports a mistake. Comes last, without a lock and after all stores: the host may throw. */
function mistakeReport(cls: u32, found: u32): void {
  if (found === TOO_MANY) errorRaise(L.ARRAY_FULL + cls, 0);
  else errorRaise(L.DOUBLE_FREE + cls, found);
}

/**
 * Returns all chunks of the cache of a thread slot, then frees the slot; for NONE all chunks of
 * this thread's cache. A mistake is reported at the end, because the host may throw.
 */
export function cacheDrain(slot: u32): void {
  const base: usize = slot === L.NONE ? cache : cacheAt(slot);
  let wrong: u32 = 0;
  let what: u32 = L.NONE;
  for (let cls: u32 = 1; cls < classes; cls++) {
    const count: u32 = load32(base + cls * 8, L.K_COUNT);
    const found: u32 = count === 0 ? L.NONE : drain(base, cls, count);
    if (found !== L.NONE) {
      wrong = cls;
      what = found;
    }
  }
  if (slot !== L.NONE) atomicStore(control + L.C_SLOTS + slot * 4, 0, 0);
  if (wrong !== 0) mistakeReport(wrong, what);
}

/** Releases all free pages of a class, without regard to the interval. */
export function releaseNow(cls: u32): void {
  const info: usize = infoOf(cls);
  if (!lockAcquire(info + L.R_LOCK)) return;
  const twice: u32 = load32(info, L.R_FREED) === 0 ? L.NONE : regionRelease(cls);
  lockRelease(info + L.R_LOCK);
  if (twice !== L.NONE) mistakeReport(cls, twice);
}
