/** Initialises a space; attaches, detaches and recovers threads. */
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

/** Writes the words that are not zero at first; comes after all binds. */
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

/** Number of chunks in a batch: at most `hint`, and about 2^log bytes. */
export function cachedHint(cls: u32, hint: u32, log: u32): u32 {
  if (cls === 0) return 0;
  const fit: u32 = (((1 << log) >>> 0) / classSize(cls)) >>> 0;
  if (fit === 0) return 1;
  return fit < hint ? fit : hint;
}

export function threadIdDraw(): u32 {
  return atomicAdd(control, L.C_THREAD_ID, 1) + 1;
}

/** Takes a free thread slot for a thread. Returns whether there was one. */
export function slotTake(id: u32): bool {
  for (let slot: u32 = 0; slot < threadSlots; slot++) {
    const at: usize = control + L.C_SLOTS + slot * 4;
    if (atomicLoad(at, 0) === 0 && atomicCas(at, 0, 0, id)) {
      slotBind(id, slot);
      return true;
    }
  }
  return false;
}

/** The first slot of a thread from the slot `from` on; NONE. */
function slotOf(id: u32, from: u32): u32 {
  for (let slot: u32 = from; slot < threadSlots; slot++) {
    if (atomicLoad(control + L.C_SLOTS + slot * 4, 0) === id) return slot;
  }
  return L.NONE;
}

/** Empties the cache of a thread and frees its slot. */
export function slotFree(id: u32): void {
  const slot: u32 = slotOf(id, 0);
  if (slot !== L.NONE) cacheDrain(slot);
}

/**
 * Frees the slot, the locks and the chunks of a thread that has ended without detaching. Returns
 * false if it has no slot. Of two threads that try, one gets the slot, which has that thread's id
 * from then on: if it dies in here, its own recovery does the rest.
 */
export function threadRecover(id: u32): bool {
  let found: bool = false;
  for (let slot: u32 = 0; slot < threadSlots; slot++) {
    if (atomicCas(control + L.C_SLOTS + slot * 4, 0, id, threadId)) found = true;
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
  othersSlotsFree();
  return true;
}

/** Takes over a lock whose holder has no slot: it died, for threads that detach hold no lock. */
function lockTakeOver(p: usize): bool {
  const holder: u32 = atomicLoad(p, 0);
  if (holder === 0 || slotOf(holder, 0) !== L.NONE) return false;
  return atomicCas(p, 0, holder, threadId);
}

/** Empties the slots that this thread has besides its own. */
function othersSlotsFree(): void {
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

/** Acquires every lock, or none; in one order, so that two threads cannot deadlock. */
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

/** Releases the locks of the classes below `end`, the last one first. */
function locksReleaseBelow(end: u32): void {
  for (let cls: u32 = end - 1; cls !== 0; cls--) lockRelease(infoOf(cls) + L.R_LOCK);
}

/** Releases the locks that this thread holds. */
export function locksRelease(): void {
  if (atomicLoad(control, L.C_LOCK) === threadId) lockRelease(control + L.C_LOCK);
  for (let cls: u32 = classes - 1; cls !== 0; cls--) {
    if (atomicLoad(infoOf(cls), L.R_LOCK) === threadId) lockRelease(infoOf(cls) + L.R_LOCK);
  }
}

/** A word of the info of a class. */
export function regionWord(cls: u32, offset: u32): u32 {
  return load32(infoOf(cls) + offset, 0);
}

export function controlWord(offset: u32): u32 {
  return load32(control + offset, 0);
}

export function intervalSet(interval: u32): void {
  atomicStore(control, L.C_INTERVAL, interval);
}
