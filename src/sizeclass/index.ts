/** The hardened size-class allocator: `terrane/sizeclass`. */
export { type LargeStats, SizeClassAllocator, SizeClassHeap } from "./allocator.ts";
export { SizeClassError, type SizeClassErrorCode } from "./errors.ts";
export {
  SizeClassMap,
  type SizeClassMapName,
  type SizeClassMapOptions,
  sizeClassMap,
  sizeClassMaps,
} from "./maps.ts";
export type { Geometry, SizeClassOptions } from "./options.ts";
export { Primary, type RegionStats } from "./primary.ts";
export { SharedSizeClassHeap, type SizeClassHandle } from "./shared.ts";
export { attachSizeClass, sizeClass } from "./sizeclass.ts";
export { type AddressSpace, type SparseOptions, SparseSpace, sparseSpace } from "./sparse.ts";
