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
export { type Held, LayerError, type LayerErrorCode } from "./errors.ts";
export { fallback } from "./fallback.ts";
export { type FillOptions, fill } from "./fill.ts";
export type { Both } from "./forks.ts";
export { type FreelistOptions, freelist } from "./freelist.ts";
export { ground } from "./ground.ts";
export { header } from "./header.ts";
export { hybrid } from "./hybrid.ts";
export { limit } from "./limit.ts";
export { log } from "./log.ts";
export { nothing } from "./nothing.ts";
export { pipe } from "./pipe.ts";
export { arena, kingsley, lea } from "./recipes.ts";
export { type Sbrk, sbrk } from "./sbrk.ts";
export { segregated } from "./segregated.ts";
export { type Slices, slices } from "./slices.ts";
export { stats } from "./stats.ts";
export { type HeapLike, type Std, std } from "./std.ts";
export { gauge, tree } from "./tree.ts";
export { zeroing } from "./zeroing.ts";
export { type ZoneMark, type ZoneTraits, type ZoneVerbs, zone } from "./zone.ts";
