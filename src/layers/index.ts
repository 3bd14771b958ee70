/// <reference lib="esnext.disposable" preserve="true" />
/** Allocators composed of layers: `terrane/layers`. */
export { aligned } from "./aligned.ts";
export { Allocator, allocator } from "./allocator.ts";
export { batch } from "./batch.ts";
export { buddy } from "./buddy.ts";
export { bypass } from "./bypass.ts";
export { type CheckOptions, type CheckTraits, check } from "./check.ts";
export { chunk } from "./chunk.ts";
export { coalescing } from "./coalescing.ts";
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
} from "./contract.ts";
export { Counter, type Figures } from "./counter.ts";
export { Door } from "./door.ts";
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
} from "./enter.ts";
export { type Held, LayerError, type LayerErrorCode } from "./errors.ts";
export { fallback } from "./fallback.ts";
export { type FillOptions, fill } from "./fill.ts";
export type { Both } from "./forks.ts";
export { type FreelistOptions, freelist } from "./freelist.ts";
export { ground } from "./ground.ts";
export { header } from "./header.ts";
export { hybrid } from "./hybrid.ts";
export { expectNoLeaks, type LeakOptions } from "./leaks.ts";
export { limit } from "./limit.ts";
export { type LockKind, type LockOptions, lock } from "./lock.ts";
export { log } from "./log.ts";
export { type MagazineOptions, magazines } from "./magazines.ts";
export { type AligningHeap, type Mmap, mmap } from "./mmap.ts";
export { nothing } from "./nothing.ts";
export { type PerThreadOptions, type PerThreadTraits, perThread } from "./per-thread.ts";
export { pipe } from "./pipe.ts";
export { profileText, type ScopeProfile } from "./profile.ts";
export { type QuarantineOptions, quarantine } from "./quarantine.ts";
export { type RandomisedOptions, randomised } from "./randomised.ts";
export { arena, bonwick, dieHard, kingsley, lea } from "./recipes.ts";
export { Region, type RegionOptions } from "./region.ts";
export { type Sbrk, sbrk } from "./sbrk.ts";
export { segregated } from "./segregated.ts";
export { type SharedBump, type SharedBumpOptions, sharedBump } from "./shared-bump.ts";
export { type SlabTraits, slab } from "./slab.ts";
export { type Slices, slices } from "./slices.ts";
export { stats } from "./stats.ts";
export { type HeapLike, type Std, std } from "./std.ts";
export { trace } from "./trace.ts";
export { gauge, tree } from "./tree.ts";
export { type UniqueTraits, unique } from "./unique.ts";
export { zeroing } from "./zeroing.ts";
export { type ZoneMark, type ZoneTraits, type ZoneVerbs, zone } from "./zone.ts";
