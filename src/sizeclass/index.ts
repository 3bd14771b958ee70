/// <reference lib="esnext.disposable" preserve="true" />
/** The hardened size-class allocator: `terrane/sizeclass`. */
export {
  type LargeStats,
  type SizeClassAbi,
  SizeClassAllocator,
  SizeClassHeap,
} from "./allocator.ts";
export { SizeClassError, type SizeClassErrorCode } from "./errors.ts";
export { type HardenedHandle, HardenedMalloc } from "./hardened.ts";
export type { HardenedAbi } from "./hardened-abi.ts";
export type { ErrorInfo, FillContents } from "./hardened-blocks.ts";
export {
  type HardenedFlags,
  type HardenedHooks,
  type ScudoEnvironment,
  type ScudoOptions,
  scudoOptions,
} from "./hardened-flags.ts";
export {
  attachHardenedMalloc,
  type HardenedAttachOptions,
  type HardenedOptions,
  hardenedMalloc,
} from "./hardened-make.ts";
export type { HardenedStats } from "./hardened-stats.ts";
export {
  SizeClassMap,
  type SizeClassMapName,
  type SizeClassMapOptions,
  sizeClassMap,
  sizeClassMaps,
} from "./maps.ts";
export { Memory64Space, type Memory64SpaceOptions, memory64Space } from "./memory64.ts";
export type { Geometry, Regions, SizeClassOptions } from "./options.ts";
export { OsSpace, type OsSpaceOptions, osSpace } from "./os-space.ts";
export { Primary, type RegionStats } from "./primary.ts";
export type { QuarantineStats } from "./quarantine.ts";
export { HardenedError, type HardenedErrorCode } from "./reports.ts";
export { SharedSizeClassHeap, type SizeClassHandle } from "./shared.ts";
export { attachSizeClass, sizeClass } from "./sizeclass.ts";
export { type AddressSpace, type SparseOptions, SparseSpace, sparseSpace } from "./sparse.ts";
