/** `terrane/mempool`: replaces the pool of @thi.ng/malloc by a change of one import. */
export type {
  IMemPool,
  IMemPoolArray,
  MemPoolOpts,
  MemPoolStats,
  Type,
  TypedArray,
  TypedArrayOf,
} from "./api.ts";
export { NativePool } from "./native.ts";
export { MemPool } from "./pool.ts";
