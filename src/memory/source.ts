/**
 * Where bytes come from: one contract for every kind of memory, with its features as a record, so
 * that nobody asks for a platform.
 */

/** Bytes of a slice, the unit of growth. */
export const SLICE_BYTES = 65536;
/** The most slices a memory may have; the last one of 4 GiB is never used. */
export const SLICES_LIMIT = 65535;

export interface MemoryCapabilities {
  /** grow() can succeed. */
  readonly canGrow: boolean;
  /** Other threads may hold the same bytes. */
  readonly shared: boolean;
  /** Everything from `start` on is zero when the source is made. */
  readonly zeroed: boolean;
  /** Growth replaces `buffer`; views made before become empty. */
  readonly detaches: boolean;
  /** Ranges can be given back to the operating system. */
  readonly canRelease: boolean;
  /** Ranges can be made inaccessible. */
  readonly canProtect: boolean;
}

/**
 * What a memory can do with its pages beyond holding bytes. Addresses are offsets in `buffer`.
 * Calls narrow their range to the whole pages inside; commit widens it. So nothing outside what
 * the caller named loses its bytes. Each answers whether it happened; an empty range is a success.
 * No call throws.
 */
export interface PageOperations {
  /** Bytes of a page: a power of two, at most 64 KiB. */
  readonly pageBytes: number;
  /** A decommitted range must be committed before anybody touches it. */
  readonly needsCommit: boolean;
  /** Makes a range usable. What was decommitted before is zero now. */
  commit(address: number, bytes: number): boolean;
  /** Gives the physical memory of a range back. Without `needsCommit` it reads as zero at once. */
  decommit(address: number, bytes: number): boolean;
  /** Says that the contents no longer matter; the range stays usable. */
  reset(address: number, bytes: number): boolean;
  /**
   * Any access to the range fails from now on. Its bytes are lost: after unprotect it reads as
   * zero. WebAssembly traps; an access from JavaScript may end the process.
   */
  protect(address: number, bytes: number): boolean;
  unprotect(address: number, bytes: number): boolean;
  /** Bytes of the range that are in physical memory. */
  resident?(address: number, bytes: number): number;
}

/** Huge pages of a memory, each a multiple of 64 KiB. */
export interface HugePages {
  readonly pageBytes: number;
  /**
   * Makes up to `pages` of them part of the memory, one behind the other, on a NUMA node; answers
   * where they begin and how many there are. Stops when one cannot be had, or when all of them
   * would take more than twice `timeout` milliseconds (0 = no limit). Never throws.
   */
  reserve(pages: number, node: number, timeout: number): { address: number; pages: number };
}

/** NUMA nodes, numbered from 0. */
export interface NumaNodes {
  readonly nodes: number;
  /** The one that the calling thread runs on. */
  readonly node: number;
}

/**
 * A memory and the right to grow it. A heap is the only one that grows its source; if somebody else
 * grows the memory underneath, those slices are theirs and no heap touches them.
 */
export interface MemorySource {
  readonly kind: string;
  readonly capabilities: MemoryCapabilities;
  /** The bytes, as they are now; ask again after a growth. */
  readonly buffer: ArrayBufferLike;
  /** First byte that a heap may use: a multiple of 64 KiB. */
  readonly start: number;
  /** The memory as WebAssembly can import it, if it is one. */
  readonly memory?: WebAssembly.Memory;
  /** There if `canRelease` or `canProtect` is. */
  readonly pages?: PageOperations;
  readonly huge?: HugePages;
  readonly numa?: NumaNodes;
  /**
   * Grows by at least `slices` slices of 64 KiB. Answers `granted << 16 | size before, in slices`
   * as an unsigned number, or 0 when it cannot; then nothing has changed. Never throws.
   */
  grow(slices: number): number;
}

/**
 * The bytes of a source that is known to have at least `bytes`: where another thread has grown a
 * WebAssembly.Memory and the engine has not told this one yet, it is made to look.
 */
export function bufferReaching(source: MemorySource, bytes: number): ArrayBufferLike {
  if (source.buffer.byteLength < bytes) source.memory?.grow(0);
  return source.buffer;
}

/** How many slices to grow by when `needed` are missing and the memory has `present`. */
export type GrowthPolicy = (needed: number, present: number) => number;

/** An eighth of the memory at a time: few growths, and little more address space than needed. */
export const growEighth: GrowthPolicy = (needed, present) => Math.max(needed, present >>> 3);

/** Never more than asked for. */
export const growExactly: GrowthPolicy = (needed) => needed;

export interface GrowthOptions {
  /** Largest size in bytes; rounded down to slices. Default: 4 GiB less one slice. */
  maximum?: number | undefined;
  /** Default: growEighth. */
  growth?: GrowthPolicy | undefined;
}

/**
 * The rule that every growing source follows: what the policy wants, else what is needed, never
 * beyond the maximum. `attempt` grows by exactly that many slices and answers the size in slices
 * that it grew from, which is not `present` if another thread was quicker; -1 = it could not.
 */
export function growWithin(
  needed: number,
  present: number,
  options: GrowthOptions,
  attempt: (slices: number) => number,
): number {
  const room = slicesBelow(options.maximum) - present;
  if (needed > room) return 0;
  const policy = options.growth ?? growEighth;
  const wanted = Math.min(Math.max(needed, Math.ceil(policy(needed, present))), room);
  const before = attempt(wanted);
  if (before >= 0) return growthAnswer(wanted, before);
  const second = wanted > needed ? attempt(needed) : -1;
  return second >= 0 ? growthAnswer(needed, second) : 0;
}

function growthAnswer(granted: number, before: number): number {
  return ((granted << 16) | before) >>> 0;
}

function slicesBelow(maximum: number | undefined): number {
  if (maximum === undefined) return SLICES_LIMIT;
  return Math.min(SLICES_LIMIT, Math.floor(maximum / SLICE_BYTES));
}

/** Bytes in whole slices. */
export function slicesFor(bytes: number): number {
  return Math.ceil(bytes / SLICE_BYTES);
}

/** Checks a number of bytes that a caller gave. */
export function checkBytes(name: string, bytes: unknown): void {
  if (bytes === undefined) return;
  if (typeof bytes !== "number") throw new TypeError(`${name} must be a number of bytes`);
  if (!Number.isInteger(bytes) || bytes < 0 || bytes > 2 ** 32) {
    throw new RangeError(`${name} must be a whole number from 0 to 4294967296, not ${bytes}`);
  }
}

/** Throws where threads cannot share memory. */
export function requireShared(): void {
  if (typeof SharedArrayBuffer !== "undefined") return;
  throw new RangeError(
    "shared memory is off: a browser page must be cross-origin isolated (headers COOP and COEP)",
  );
}
