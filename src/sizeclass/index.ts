/// <reference lib="esnext.disposable" preserve="true" />
/** The hardened size-class allocator: `terrane/sizeclass`. */

export type { AddressSpace, Geometry, SizeClassMapOptions } from "./core/contract.ts";
export type { HardenedAbi } from "./hardened/abi.ts";
export type { ErrorInfo, FillContents } from "./hardened/blocks.ts";
export {
  attachHardenedMalloc,
  createHardenedMalloc,
  type HardenedAttachOptions,
  type HardenedOptions,
} from "./hardened/create.ts";
export {
  type HardenedFlags,
  type HardenedHooks,
  parseScudoOptions,
  type ScudoEnvironment,
  type ScudoOptions,
} from "./hardened/flags.ts";
export { HardenedMalloc } from "./hardened/malloc.ts";
export type { QuarantineStats } from "./hardened/quarantine.ts";
export { HardenedError, type HardenedErrorCode } from "./hardened/reports.ts";
export type { HardenedStats } from "./hardened/stats.ts";
export type { HardenedHandle } from "./hardened/threads.ts";
export { type LargeStats, SizeClassAllocator, type SizeClassStats } from "./heap/allocator.ts";
export { SizeClassError, type SizeClassErrorCode } from "./heap/errors.ts";
export { type SizeClassAbi, SizeClassHeap } from "./heap/linear.ts";
export type { Regions, SizeClassOptions } from "./heap/options.ts";
export { Primary, type RegionStats } from "./heap/primary.ts";
export { SharedSizeClassHeap, type SizeClassHandle } from "./heap/shared.ts";
export { attachSizeClassHeap, createSizeClassHeap } from "./heap/sizeclass.ts";
export {
  createSizeClassMap,
  SizeClassMap,
  type SizeClassMapName,
  sizeClassMaps,
} from "./spaces/maps.ts";
export { Memory64Space, type Memory64SpaceOptions, memory64Space } from "./spaces/memory64.ts";
export { OsSpace, type OsSpaceOptions, osSpace } from "./spaces/os-space.ts";
export { type SparseOptions, SparseSpace, sparseSpace } from "./spaces/sparse.ts";
