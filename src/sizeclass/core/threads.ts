/** The beginning of a space, and the threads that come and go. */
import { atomicAdd, atomicCas, atomicLoad, atomicStore } from "../../core/target/atomics.ts";
import { load32, store32 } from "../../core/target/glue.ts";
import { cacheDrain } from "./cache.ts";
import { classes, classSize } from "./classes.ts";
import { largeMend } from "./large.ts";
import {
  C_INTERVAL,
  C_LOCK,
  C_SEATS,
  C_TICKET,
  NONE,
  R_HINT,
  R_LOCK,
  R_RAND,
  R_REACH,
  R_UNITS,
} from "./layout.ts";
import { lockLeave, lockTake } from "./lock.ts";
import { regionsUnmap } from "./regions.ts";
import { regionMend } from "./release.ts";
import {
  cache,
  cacheAt,
  control,
  infoOf,
  mapRegions,
  metaUnits,
  seatBind,
  seats,
  ticket,
  userUnits,
} from "./state.ts";

/** Writes what is not zero at the beginning; everything is bound. */
export function spaceInit(hint: u32, cachedLog: u32, seed: u32, interval: u32): void {
  store32(control, C_INTERVAL, interval);
  for (let cls: u32 = 1; cls < classes; cls++) {
    const info: usize = infoOf(cls);
    const units: u32 = classSize(cls) >>> 4;
    const chunks: u32 = (userUnits / (units + metaUnits)) >>> 0;
    store32(info, R_UNITS, units);
    if (mapRegions !== 0) store32(info, R_REACH, chunks * units);
    store32(info, R_HINT, cachedHint(cls, hint, cachedLog));
    store32(info, R_RAND, seed);
  }
}

/** Chunks of a batch: at most `hint`, and about 2^log bytes. */
export function cachedHint(cls: u32, hint: u32, log: u32): u32 {
  if (cls === 0) return 0;
  const fit: u32 = (((1 << log) >>> 0) / classSize(cls)) >>> 0;
  if (fit === 0) return 1;
  return fit < hint ? fit : hint;
}

export function ticketDraw(): u32 {
  return atomicAdd(control, C_TICKET, 1) + 1;
}

/** Takes a seat for a thread; whether there was one. */
export function seatTake(number: u32): bool {
  for (let seat: u32 = 0; seat < seats; seat++) {
    const at: usize = control + C_SEATS + seat * 4;
    if (atomicLoad(at, 0) === 0 && atomicCas(at, 0, 0, number)) {
      seatBind(number, seat);
      return true;
    }
  }
  return false;
}

/** The seat of a thread from a seat on, or NONE. */
function seatOf(number: u32, from: u32): u32 {
  for (let seat: u32 = from; seat < seats; seat++) {
    if (atomicLoad(control + C_SEATS + seat * 4, 0) === number) return seat;
  }
  return NONE;
}

/** Gives back what a thread's cache has, and then its seat. */
export function seatLeave(number: u32): void {
  const seat: u32 = seatOf(number, 0);
  if (seat !== NONE) cacheDrain(seat);
}

/**
 * Takes from a thread that does not run any more its seat, its locks and its chunks; false: it has
 * no seat. Of two that try, one has the seat, and is named by it from then on: should it die here
 * as well, then its own recovery goes on with all that it has not done.
 */
export function threadRecover(number: u32): bool {
  let found: bool = false;
  for (let seat: u32 = 0; seat < seats; seat++) {
    if (atomicCas(control + C_SEATS + seat * 4, 0, number, ticket)) found = true;
  }
  if (!found) return false;
  for (let cls: u32 = 1; cls < classes; cls++) {
    if (!lockInherit(infoOf(cls) + R_LOCK)) continue;
    regionMend(cls);
    lockLeave(infoOf(cls) + R_LOCK);
  }
  if (lockInherit(control + C_LOCK)) {
    largeMend();
    regionsUnmap();
    lockLeave(control + C_LOCK);
  }
  seatsInherit();
  return true;
}

/** Takes a lock from a holder that has no seat: it is dead, since who leaves leaves its locks. */
function lockInherit(p: usize): bool {
  const holder: u32 = atomicLoad(p, 0);
  if (holder === 0 || seatOf(holder, 0) !== NONE) return false;
  return atomicCas(p, 0, holder, ticket);
}

/** Empties the seats that this thread has besides its own. */
function seatsInherit(): void {
  let seat: u32 = seatOf(ticket, 0);
  while (seat !== NONE) {
    if (cacheAt(seat) !== cache) cacheDrain(seat);
    seat = seatOf(ticket, seat + 1);
  }
}

export function regionLock(cls: u32): bool {
  return lockTake(infoOf(cls) + R_LOCK);
}

export function regionUnlock(cls: u32): void {
  lockLeave(infoOf(cls) + R_LOCK);
}

/** Takes every lock, or none; in one order, so that two threads that do it cannot meet. */
export function locksTake(): bool {
  for (let cls: u32 = 1; cls < classes; cls++) {
    if (lockTake(infoOf(cls) + R_LOCK)) continue;
    locksLeave(cls);
    return false;
  }
  if (lockTake(control + C_LOCK)) return true;
  locksLeave(classes);
  return false;
}

/** Leaves the locks of the classes below `end`, the last one first. */
function locksLeave(end: u32): void {
  for (let cls: u32 = end - 1; cls !== 0; cls--) lockLeave(infoOf(cls) + R_LOCK);
}

/** Leaves those that this thread has. */
export function locksLeaveAll(): void {
  if (atomicLoad(control, C_LOCK) === ticket) lockLeave(control + C_LOCK);
  for (let cls: u32 = classes - 1; cls !== 0; cls--) {
    if (atomicLoad(infoOf(cls), R_LOCK) === ticket) lockLeave(infoOf(cls) + R_LOCK);
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
  atomicStore(control, C_INTERVAL, interval);
}
