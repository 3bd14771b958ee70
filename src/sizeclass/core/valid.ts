/** Checks of all structures, for tests and for users who look for damage. */
import { load32 } from "../../core/target/glue.ts";
import { classes } from "./classes.ts";
import * as L from "./layout.ts";
import {
  bitsBytes,
  chunkCount,
  compactIsChunk,
  regionChunks,
  regionNext,
  regionOrdinal,
  regionPages,
} from "./regions.ts";
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
  mapRegions,
  metaUnits,
  pageSize,
  regionMap,
  threadSlots,
  userUnits,
} from "./state.ts";

/** Takes no lock: correct only while no other thread works. */
export function spaceIsValid(): bool {
  for (let cls: u32 = 1; cls < classes; cls++) if (!regionIsValid(cls)) return false;
  for (let slot: u32 = 0; slot < threadSlots; slot++)
    if (!cacheIsValid(cacheAt(slot))) return false;
  return mapIsValid() && largeIsValid();
}

/** No region has lost its class and still has its pages. */
function mapIsValid(): bool {
  const end: u32 = mapRegions === 0 ? 0 : load32(control, L.C_REGIONS);
  for (let i: u32 = 0; i < end; i++)
    if (load32(regionMap + i * 4, 0) === L.UNASSIGNED) return false;
  return true;
}

export function regionIsValid(cls: u32): bool {
  const info: usize = infoOf(cls);
  const freed: u32 = load32(info, L.R_FREED);
  const out: u32 = (load32(info, L.R_ALLOCS) - load32(info, L.R_FREES)) >>> 0;
  if (load32(info, L.R_ALLOCATED) > load32(info, L.R_MAPPED_USER)) return false;
  if (chunkCount(info) * metaUnits > load32(info, L.R_MAPPED_META)) return false;
  if (freed * 4 > load32(info, L.R_MAPPED_ARRAY)) return false;
  if (!(mapRegions === 0 ? ownIsValid(info) : regionsAreValid(cls))) return false;
  return freed + out === chunkCount(info) && wordsAreChunks(cls, arrayAt(cls), freed);
}

function ownIsValid(info: usize): bool {
  return load32(info, L.R_MAPPED_USER) + load32(info, L.R_MAPPED_META) <= userUnits;
}

/** They are numbered, their pages are marked, and the array has space for all their chunks. */
function regionsAreValid(cls: u32): bool {
  const info: usize = infoOf(cls);
  const count: u32 = load32(info, L.R_REGIONS);
  const chunks: u32 = count * regionChunks(info);
  const pages: u32 = regionPages();
  let found: u32 = 0;
  let sum: u32 = 0;
  for (let index: u32 = regionNext(cls, 0); index !== L.NONE; index = regionNext(cls, index + 1)) {
    if (regionOrdinal(index) >= count || !pagesAreMarked(index * pages, pages)) return false;
    found++;
    sum += regionOrdinal(index);
  }
  if (chunks * 4 + bitsBytes(chunks) > load32(info, L.R_MAPPED_ARRAY)) return false;
  if (found !== count || sum * 2 !== count * (count - 1)) return false;
  return chunkCount(info) <= chunks;
}

function wordsAreChunks(cls: u32, at: usize, count: u32): bool {
  for (let i: u32 = 0; i < count; i++) {
    if (!compactIsChunk(cls, load32(at + i * 4, 0))) return false;
  }
  return true;
}

export function cacheIsValid(base: usize): bool {
  for (let cls: u32 = 1; cls < classes; cls++) {
    const count: u32 = load32(base + cls * 8, L.K_COUNT);
    if (count > load32(base + cls * 8, L.K_BOUND)) return false;
    if (!wordsAreChunks(cls, base + L.CACHE_HEAD + scale(cls, cacheShift), count)) return false;
  }
  return true;
}

/** Mappings do not overlap, and their pages are marked. */
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
      const count: u32 = load32(large + page * pageSize, L.H_PAGES);
      if (count === 0 || !pagesAreMarked(page, count)) return false;
      pages += count;
      page += count;
    }
  }
  return pages === load32(control, L.C_LARGE_PAGES) && pagesAreMarked(0, load32(control, L.C_LOW));
}

function pagesAreMarked(page: u32, count: u32): bool {
  for (let i: u32 = page; i < page + count; i++) {
    if (((load32(largeUsed() + (i >>> 5) * 4, 0) >>> (i & 31)) & 1) === 0) return false;
  }
  return true;
}
