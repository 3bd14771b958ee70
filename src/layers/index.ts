/// <reference lib="esnext.disposable" preserve="true" />
/** Allocators composed of layers: `terrane/layers`. */

export { Allocator, allocator } from "./allocator.ts";
export { aligned } from "./combine/aligned.ts";
export { bypass } from "./combine/bypass.ts";
export { fallback } from "./combine/fallback.ts";
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
export { gauge, tree } from "./observe/tree.ts";
export { pipe } from "./pipe.ts";
export { Door } from "./pool/allocator-base.ts";
export {
  type Alignment,
  granules,
  type Layer,
  layerOf,
  type Memory,
  type Over,
  type Pool,
  poolOf,
  type Traits,
  type Verbs,
} from "./pool/contract.ts";
export { Counter, type Figures } from "./pool/counter.ts";
export { type Held, LayerError, type LayerErrorCode } from "./pool/errors.ts";
export type { Both } from "./pool/forks.ts";
export { arena, bonwick, dieHard, kingsley, lea } from "./recipes.ts";
export {
  type Ambient,
  ambient,
  bottom,
  current,
  enter,
  groundRegion,
  groundSet,
  outer,
  type RegionLayer,
  regionEscape as escape,
  regionOpen,
  regionRun,
  regionsCrossAwait,
} from "./regions/enter.ts";
export { expectNoLeaks, type LeakOptions } from "./regions/leaks.ts";
export { profileText, type ScopeProfile } from "./regions/profile.ts";
export { Region, type RegionOptions } from "./regions/region.ts";
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
export { type ZoneMark, type ZoneTraits, type ZoneVerbs, zone } from "./storage/zone.ts";
