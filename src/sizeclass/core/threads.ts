/** The beginning of a space, and the threads that come and go. */
import { atomicAdd, atomicCas, atomicLoad, atomicStore } from "../../core/target/atomics.ts";
import { load32, store32 } from "../../core/target/glue.ts";
import { cacheDrain } from "./cache.ts";
import { classes, classSize } from "./classes.ts";
import { largeMend } from "./large.ts";
import * as L from "./layout.ts";
import { lockAcquire, lockRelease } from "./lock.ts";
import { regionsUnmap } from "./regions.ts";
import { regionMend } from "./release.ts";
import {
  cache,
  cacheAt,
  control,
  infoOf,
  mapRegions,
  metaUnits,
  slotBind,
  threadId,
  threadSlots,
  userUnits,
} from "./state.ts";

/** Writes what is not zero at the beginning; everything is bound. */
export function spaceInit(hint: u32, cachedLog: u32, seed: u32, interval: u32): void {
  store32(control, L.C_INTERVAL, interval);
  for (let cls: u32 = 1; cls < classes; cls++) {
    const info: usize = infoOf(cls);
    const units: u32 = classSize(cls) >>> 4;
    const chunks: u32 = (userUnits / (units + metaUnits)) >>> 0;
    store32(info, L.R_UNITS, units);
    if (mapRegions !== 0) store32(info, L.R_REACH, chunks * units);
    store32(info, L.R_HINT, cachedHint(cls, hint, cachedLog));
    store32(info, L.R_RAND, seed);
  }
}

/** Chunks of a batch: at most `hint`, and about 2^log bytes. */
export function cachedHint(cls: u32, hint: u32, log: u32): u32 {
  if (cls === 0) return 0;
  const fit: u32 = (((1 << log) >>> 0) / classSize(cls)) >>> 0;
  if (fit === 0) return 1;
  return fit < hint ? fit : hint;
}

export function threadIdDraw(): u32 {
  return atomicAdd(control, L.C_THREAD_ID, 1) + 1;
}

/** Takes a thread slot for a thread; whether there was one. */
export function slotTake(number: u32): bool {
  for (let slot: u32 = 0; slot < threadSlots; slot++) {
    const at: usize = control + L.C_SLOTS + slot * 4;
    if (atomicLoad(at, 0) === 0 && atomicCas(at, 0, 0, number)) {
      slotBind(number, slot);
      return true;
    }
  }
  return false;
}

/** The thread slot of a thread from a thread slot on, or NONE. */
function slotOf(number: u32, from: u32): u32 {
  for (let slot: u32 = from; slot < threadSlots; slot++) {
    if (atomicLoad(control + L.C_SLOTS + slot * 4, 0) === number) return slot;
  }
  return L.NONE;
}

/** Gives back what a thread's cache has, and then its thread slot. */
export function slotFree(number: u32): void {
  const slot: u32 = slotOf(number, 0);
  if (slot !== L.NONE) cacheDrain(slot);
}

/**
 * Takes from a thread that does not run any more its thread slot, its locks and its chunks; false: it has
 * no thread slot. Of two that try, one has the thread slot, and is named by it from then on: should it die here
 * as well, then its own recovery goes on with all that it has not done.
 */
export function threadRecover(number: u32): bool {
  let found: bool = false;
  for (let slot: u32 = 0; slot < threadSlots; slot++) {
    if (atomicCas(control + L.C_SLOTS + slot * 4, 0, number, threadId)) found = true;
  }
  if (!found) return false;
  for (let cls: u32 = 1; cls < classes; cls++) {
    if (!lockTakeOver(infoOf(cls) + L.R_LOCK)) continue;
    regionMend(cls);
    lockRelease(infoOf(cls) + L.R_LOCK);
  }
  if (lockTakeOver(control + L.C_LOCK)) {
    largeMend();
    regionsUnmap();
    lockRelease(control + L.C_LOCK);
  }
  slotsInherit();
  return true;
}

/** Takes a lock from a holder that has no thread slot: it is dead, since who leaves leaves its locks. */
function lockTakeOver(p: usize): bool {
  const holder: u32 = atomicLoad(p, 0);
  if (holder === 0 || slotOf(holder, 0) !== L.NONE) return false;
  return atomicCas(p, 0, holder, threadId);
}

/** Empties the thread slots that this thread has besides its own. */
function slotsInherit(): void {
  let slot: u32 = slotOf(threadId, 0);
  while (slot !== L.NONE) {
    if (cacheAt(slot) !== cache) cacheDrain(slot);
    slot = slotOf(threadId, slot + 1);
  }
}

export function regionLock(cls: u32): bool {
  return lockAcquire(infoOf(cls) + L.R_LOCK);
}

export function regionUnlock(cls: u32): void {
  lockRelease(infoOf(cls) + L.R_LOCK);
}

/** Takes every lock, or none; in one order, so that two threads that do it cannot meet. */
export function locksAcquire(): bool {
  for (let cls: u32 = 1; cls < classes; cls++) {
    if (lockAcquire(infoOf(cls) + L.R_LOCK)) continue;
    locksReleaseBelow(cls);
    return false;
  }
  if (lockAcquire(control + L.C_LOCK)) return true;
  locksReleaseBelow(classes);
  return false;
}

/** Leaves the locks of the classes below `end`, the last one first. */
function locksReleaseBelow(end: u32): void {
  for (let cls: u32 = end - 1; cls !== 0; cls--) lockRelease(infoOf(cls) + L.R_LOCK);
}

/** Leaves those that this thread has. */
export function locksRelease(): void {
  if (atomicLoad(control, L.C_LOCK) === threadId) lockRelease(control + L.C_LOCK);
  for (let cls: u32 = classes - 1; cls !== 0; cls--) {
    if (atomicLoad(infoOf(cls), L.R_LOCK) === threadId) lockRelease(infoOf(cls) + L.R_LOCK);
  }
}

/** A word of a region's info, for figures. */
export function regionWord(cls: u32, offset: u32): u32 {
  return load32(infoOf(cls) + offset, 0);
}

export function controlWord(offset: u32): u32 {
  return load32(control + offset, 0);
}

export function intervalSet(interval: u32): void {
  atomicStore(control, L.C_INTERVAL, interval);
}
