/// <reference lib="esnext.disposable" preserve="true" />
/** Allocators composed of layers: `terrane/layers`. */

export { Allocator, createAllocator } from "./allocator.ts";
export { aligned } from "./combine/aligned.ts";
export { bypass } from "./combine/bypass.ts";
export { fallback } from "./combine/fallback.ts";
export type { Both } from "./combine/forks.ts";
export { ground } from "./combine/ground.ts";
export { header } from "./combine/header.ts";
export { hybrid } from "./combine/hybrid.ts";
export { type LockKind, type LockOptions, lock } from "./combine/lock.ts";
export { type PerThreadOptions, type PerThreadTraits, perThread } from "./combine/per-thread.ts";
export { zeroing } from "./combine/zeroing.ts";
export { type CheckOptions, type CheckTraits, check } from "./observe/check.ts";
export { type FillOptions, fill } from "./observe/fill.ts";
export { limit } from "./observe/limit.ts";
export { log } from "./observe/log.ts";
export { type QuarantineOptions, quarantine } from "./observe/quarantine.ts";
export { stats } from "./observe/stats.ts";
export { trace } from "./observe/trace.ts";
export { formatTree, statsOf } from "./observe/tree.ts";
export { pipe } from "./pipe.ts";
export { AllocatorBase } from "./pool/allocator-base.ts";
export {
  type Alignment,
  type Calls,
  defineLayer,
  definePool,
  type Layer,
  type Memory,
  type Over,
  type Pool,
  roundToGranules,
  type Traits,
  type TraitsWith,
} from "./pool/contract.ts";
export { Counter, type PoolStats } from "./pool/counter.ts";
export { type Held, LayerError, type LayerErrorCode } from "./pool/errors.ts";
export { arena, bonwick, dieHard, kingsley, lea } from "./recipes.ts";
export { type Ambient, ambient } from "./regions/ambient.ts";
export {
  currentRegion,
  enter,
  escape,
  getGroundRegion,
  groundSource,
  openRegion,
  outerSource,
  type RegionLayer,
  regionsCrossAwait,
  runIn,
  setGroundHeap,
} from "./regions/enter.ts";
export { expectNoLeaks, type LeakOptions } from "./regions/leaks.ts";
export type { RegionOptions } from "./regions/options.ts";
export { formatProfile, type ScopeProfile } from "./regions/profile.ts";
export { Region } from "./regions/region.ts";
export { type AligningHeap, type Mmap, mmap } from "./sources/mmap.ts";
export { nothing } from "./sources/nothing.ts";
export { type Sbrk, sbrk } from "./sources/sbrk.ts";
export { type SharedBump, type SharedBumpOptions, sharedBump } from "./sources/shared-bump.ts";
export { type Slices, slices } from "./sources/slices.ts";
export { type HeapLike, type Std, std } from "./sources/std.ts";
export { type UniqueTraits, unique } from "./sources/unique.ts";
export { batch } from "./storage/batch.ts";
export { buddy } from "./storage/buddy.ts";
export { chunk } from "./storage/chunk.ts";
export { coalescing } from "./storage/coalescing.ts";
export { type FreelistOptions, freelist } from "./storage/freelist.ts";
export { type MagazineOptions, magazines } from "./storage/magazines.ts";
export { type RandomisedOptions, randomised } from "./storage/randomised.ts";
export { segregated } from "./storage/segregated.ts";
export { type SlabTraits, slab } from "./storage/slab.ts";
export { type ZoneCalls, type ZoneMark, type ZoneTraits, zone } from "./storage/zone.ts";
