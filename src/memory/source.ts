/**
 * Where bytes come from: one contract for every kind of memory. What a memory can do is a record of
 * capabilities, so that no other code tests for a platform.
 */
import { wrongKind } from "../common/errors.ts";
import { hasMembers } from "../common/kinds.ts";

/** Bytes of a slice, the unit of growth. */
export const SLICE_BYTES = 65536;
/** The most slices that a memory has; the last one of 4 GiB is never used. */
export const SLICES_LIMIT = 65535;

/** What a memory can do. */
export interface MemoryCapabilities {
  /** `grow` can succeed. */
  readonly canGrow: boolean;
  /** Other threads may use the same bytes. */
  readonly shared: boolean;
  /** All bytes from `start` on are zero when the source is made. */
  readonly zeroed: boolean;
  /** Growth replaces `buffer`; views that were made before become empty. */
  readonly detaches: boolean;
  /** Ranges can be given back to the operating system: `pages.decommit` works. */
  readonly canRelease: boolean;
  /** Ranges can be made inaccessible: `pages.protect` works. */
  readonly canProtect: boolean;
}

/**
 * Operations on the pages of a memory. Addresses are offsets in `buffer`, sizes are bytes. Calls
 * narrow their range to the whole pages inside, and `commit` widens it, so that no byte outside of
 * the range is lost. Each returns whether it was done; an empty range counts as done. No call
 * throws.
 */
export interface PageOperations {
  /** Bytes of a page: a power of two, at most 64 KiB. */
  readonly pageBytes: number;
  /** A decommitted range must be committed before it is accessed. */
  readonly needsCommit: boolean;
  /** Makes a range usable. What was decommitted before is zero. */
  commit(address: number, bytes: number): boolean;
  /** Gives the physical memory of a range back. Without `needsCommit` it is zero at once. */
  decommit(address: number, bytes: number): boolean;
  /** Tells that the contents of a range do not matter any more; the range stays usable. */
  reset(address: number, bytes: number): boolean;
  /**
   * Forbids accesses to a range. Its bytes are lost: after `unprotect` it is zero. An access from
   * WebAssembly traps; one from JavaScript may end the process.
   */
  protect(address: number, bytes: number): boolean;
  /** Allows accesses to a range that was protected; it is zero. */
  unprotect(address: number, bytes: number): boolean;
  /** Bytes of a range that are in physical memory. */
  resident?(address: number, bytes: number): number;
}

/** Huge pages of a memory. */
export interface HugePages {
  /** Bytes of a huge page: a multiple of 64 KiB. */
  readonly pageBytes: number;
  /**
   * Adds up to `pages` huge pages to the memory, one after the other, on a NUMA node. Returns their
   * address and their number. Stops when there is none left, or when all of them would take more
   * than twice `timeout` milliseconds (0 = no limit). Never throws.
   */
  reserve(pages: number, node: number, timeout: number): { address: number; pages: number };
}

/** NUMA nodes, numbered from 0. */
export interface NumaNodes {
  /** Number of nodes. */
  readonly nodes: number;
  /** The node that the calling thread runs on. */
  readonly node: number;
}

/**
 * A memory and the right to grow it. A source has one user, which grows it. If other code grows the
 * memory itself, the slices that it added belong to that code, and no heap uses them.
 */
export interface MemorySource {
  /** What kind of memory it is, for people: "WebAssembly.Memory". */
  readonly kind: string;
  /** What the memory can do. */
  readonly capabilities: MemoryCapabilities;
  /** All bytes of the memory as it is now; read it again after a growth. */
  readonly buffer: ArrayBufferLike;
  /** Offset of the first byte that a heap may use: a multiple of 64 KiB. */
  readonly start: number;
  /** The memory as WebAssembly can import it, if it is one. */
  readonly memory?: WebAssembly.Memory;
  /**
   * The most bytes that the memory can have, if that is known. A heap keeps its own tables together
   * then, so that they do not divide the free memory.
   */
  readonly maximum?: number;
  /** Operations on pages; present if `canRelease` or `canProtect` is true. */
  readonly pages?: PageOperations;
  /** Huge pages, if the memory has any. */
  readonly huge?: HugePages;
  /** NUMA nodes, if the memory knows them. */
  readonly numa?: NumaNodes;
  /**
   * Grows by at least `slices` slices of 64 KiB, from 1 to 65535. Returns `granted << 16 | before`
   * as an unsigned number, where both are numbers of slices and `before` is the size until now; or
   * 0 when it cannot grow, and then nothing has changed. Never throws.
   */
  grow(slices: number): number;
}

/**
 * The bytes of a source that is known to have at least `bytes`. When another thread has grown a
 * WebAssembly.Memory and this one does not see it yet, a growth by 0 makes the engine look.
 */
export function bufferReaching(source: MemorySource, bytes: number): ArrayBufferLike {
  if (source.buffer.byteLength < bytes) source.memory?.grow(0);
  return source.buffer;
}

/**
 * By how many slices of 64 KiB to grow when `needed` are missing and the memory has `present`.
 *
 * @example
 * const double: GrowthPolicy = (needed, present) => Math.max(needed, present);
 */
export type GrowthPolicy = (needed: number, present: number) => number;

/** Grows by an eighth of the memory: few growths, and little more memory than needed. */
export const growEighth: GrowthPolicy = (needed, present) => {
  checkSlices(needed, present);
  return Math.max(needed, present >>> 3);
};

/** Grows by what is needed and not more. */
export const growExactly: GrowthPolicy = (needed) => {
  checkSlices(needed);
  return needed;
};

function checkSlices(...counts: readonly number[]): void {
  for (const count of counts) {
    if (typeof count !== "number") throw wrongKind("a number of slices", "a number", count);
  }
}

/** Options of memories that grow. */
export interface GrowthOptions {
  /** Largest size in bytes, rounded down to 64 KiB. Default: 4 GiB less 64 KiB. */
  maximum?: number | undefined;
  /** By how much the memory grows. Default: growEighth. */
  growth?: GrowthPolicy | undefined;
}

/**
 * How every source grows: by what the policy says, else by what is needed, never beyond the
 * maximum. `attempt` grows by exactly that many slices and returns the size in slices before the
 * growth, which is not `present` if another thread grew first; -1 = it could not grow.
 */
export function growWithin(
  needed: number,
  present: number,
  options: GrowthOptions,
  attempt: (slices: number) => number,
): number {
  const most = slicesBelow(options.maximum) - present;
  if (needed > most) return 0;
  const policy = options.growth ?? growEighth;
  const wanted = Math.min(Math.max(needed, Math.ceil(policy(needed, present))), most);
  const before = attempt(wanted);
  if (before >= 0) return growthOf(wanted, before);
  const second = wanted > needed ? attempt(needed) : -1;
  return second >= 0 ? growthOf(needed, second) : 0;
}

function growthOf(granted: number, before: number): number {
  return ((granted << 16) | before) >>> 0;
}

function slicesBelow(maximum: number | undefined): number {
  if (maximum === undefined) return SLICES_LIMIT;
  return Math.min(SLICES_LIMIT, Math.floor(maximum / SLICE_BYTES));
}

/** Number of slices that hold `bytes`. */
export function slicesFor(bytes: number): number {
  return Math.ceil(bytes / SLICE_BYTES);
}

/** Checks a number of bytes that an option or an argument gives. */
export function checkBytes(name: string, bytes: unknown): void {
  const error = bytes === undefined ? undefined : bytesError(name, bytes);
  if (error) throw error;
}

/** What is wrong with a number of bytes. */
export function bytesError(name: string, bytes: unknown): Error | undefined {
  if (typeof bytes !== "number") return wrongKind(name, "a number of bytes", bytes);
  if (Number.isInteger(bytes) && bytes >= 0 && bytes <= 2 ** 32) return undefined;
  return new RangeError(`${name} must be a whole number from 0 to 4294967296, not ${bytes}`);
}

/** @throws TypeError unless the value is a memory source. */
export function checkSource(name: string, value: unknown): asserts value is MemorySource {
  const error = sourceError(name, value);
  if (error) throw error;
}

/** What is wrong with a value for the option `memory` of heaps. */
export function memoryError(value: unknown): Error | undefined {
  const isMemory = value instanceof WebAssembly.Memory || hasMembers(value, "grow", "capabilities");
  return isMemory ? undefined : wrongKind("memory", "a memory", value);
}

/** What is wrong with a memory source. */
export function sourceError(name: string, value: unknown): Error | undefined {
  if (hasMembers(value, "kind", "capabilities", "buffer", "grow")) return undefined;
  return wrongKind(name, "a memory source, as wasmMemory() returns one", value);
}

/** @throws RangeError where threads cannot share memory. */
export function requireShared(): void {
  if (typeof SharedArrayBuffer !== "undefined") return;
  throw new RangeError(
    "shared memory is off: a browser page must be cross-origin isolated (headers COOP and COEP)",
  );
}
