/** Walks over all structures that are out of reach of a user, for tests and for the suspicious. */
import { load32 } from "../core/glue.ts";
import { classes } from "./classes.ts";
import {
  C_LARGE_PAGES,
  C_LOW,
  CACHE_HEAD,
  H_PAGES,
  K_BOUND,
  K_COUNT,
  R_ALLOCATED,
  R_ALLOCS,
  R_FREED,
  R_FREES,
  R_MAPPED_ARRAY,
  R_MAPPED_META,
  R_MAPPED_USER,
  R_UNITS,
} from "./layout.ts";
import { chunkCount } from "./region.ts";
import { scale } from "./space.ts";
import {
  arrayAt,
  cacheAt,
  cacheShift,
  control,
  infoOf,
  large,
  largePages,
  largeStarts,
  largeUsed,
  metaUnits,
  pageSize,
  seats,
  userUnits,
} from "./state.ts";

/** No lock is taken: of use while nobody works. */
export function spaceIsValid(): bool {
  for (let cls: u32 = 1; cls < classes; cls++) if (!regionIsValid(cls)) return false;
  for (let seat: u32 = 0; seat < seats; seat++) if (!cacheIsValid(cacheAt(seat))) return false;
  return largeIsValid();
}

export function regionIsValid(cls: u32): bool {
  const info: usize = infoOf(cls);
  const mapped: u32 = load32(info, R_MAPPED_USER);
  const meta: u32 = load32(info, R_MAPPED_META);
  const freed: u32 = load32(info, R_FREED);
  const out: u32 = (load32(info, R_ALLOCS) - load32(info, R_FREES)) >>> 0;
  if (load32(info, R_ALLOCATED) > mapped || mapped + meta > userUnits) return false;
  if (chunkCount(info) * metaUnits > meta) return false;
  if (freed * 4 > load32(info, R_MAPPED_ARRAY)) return false;
  return freed + out === chunkCount(info) && wordsAreChunks(cls, arrayAt(cls), freed);
}

function wordsAreChunks(cls: u32, at: usize, count: u32): bool {
  const units: u32 = load32(infoOf(cls), R_UNITS);
  const end: u32 = load32(infoOf(cls), R_ALLOCATED);
  for (let i: u32 = 0; i < count; i++) {
    const compact: u32 = load32(at + i * 4, 0);
    if (compact >= end || compact % units !== 0) return false;
  }
  return true;
}

export function cacheIsValid(base: usize): bool {
  for (let cls: u32 = 1; cls < classes; cls++) {
    const count: u32 = load32(base + cls * 8, K_COUNT);
    if (count > load32(base + cls * 8, K_BOUND)) return false;
    if (!wordsAreChunks(cls, base + CACHE_HEAD + scale(cls, cacheShift), count)) return false;
  }
  return true;
}

/** Mappings lie one behind the other, and their pages are marked. */
export function largeIsValid(): bool {
  let pages: u32 = 0;
  let page: u32 = 0;
  while (page < largePages) {
    const word: u32 = load32(largeStarts() + (page >>> 5) * 4, 0);
    if (word === 0 && (page & 31) === 0) {
      page += 32;
    } else if (((word >>> (page & 31)) & 1) === 0) {
      page++;
    } else {
      const count: u32 = load32(large + page * pageSize, H_PAGES);
      if (count === 0 || !pagesAreMarked(page, count)) return false;
      pages += count;
      page += count;
    }
  }
  return pages === load32(control, C_LARGE_PAGES) && pagesAreMarked(0, load32(control, C_LOW));
}

function pagesAreMarked(page: u32, count: u32): bool {
  for (let i: u32 = page; i < page + count; i++) {
    if (((load32(largeUsed() + (i >>> 5) * 4, 0) >>> (i & 31)) & 1) === 0) return false;
  }
  return true;
}
