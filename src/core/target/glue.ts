/**
 * {open}The intrinsics of the core, JavaScript side. The build wraps the bundled core in a factory
 * with the parameter `host`; glue.as.ts is the AssemblyScript side, with the same names and types.
 *
 * `words` and `bytes` are bound again when the host's buffer changes, so no caller may keep a view
 * across a call that can grow.
 */

/** The host of a core: the imports of `env`, and the memory. */
export interface CoreHost {
  /** The memory; after a growth it may be another object. */
  readonly buffer: ArrayBufferLike;
  /**
   * Grows by at least `slices` slices of 64 KiB. Returns `granted << 16 | previous size in slices`,
   * or 0 when the memory cannot grow.
   */
  grow(slices: number): number;
  /**
   * Commits, decommits, resets or zeroes a range of whole slices: PAGES_* of layout.ts. Returns 1
   * if it did, else 0. Called to commit only after heapInit with INIT_COMMITS, and for the others
   * only after purgeSet. A host that does none of these returns 0.
   */
  pages(operation: number, address: number, bytes: number): number;
  /** Receives an error code of layout.ts and the requested size. */
  error(code: number, size: number): void;
}

declare const host: CoreHost;

let buffer: ArrayBufferLike = host.buffer;
/** Only for atomics.ts. */
export let words = new Uint32Array(buffer);
/** Only for glue-hard.ts. */
export let bytes = new Uint8Array(buffer);

export function load32(p: usize, offset: u32): u32 {
  return words[(p + offset) >>> 2]!;
}

export function store32(p: usize, offset: u32, value: u32): void {
  words[(p + offset) >>> 2] = value;
}

export function load8(p: usize, offset: u32): u32 {
  return bytes[p + offset]!;
}

export function store8(p: usize, offset: u32, value: u32): void {
  bytes[p + offset] = value;
}

/** Copies forwards or backwards as needed; the ranges may overlap. */
export function memoryCopy(to: usize, from: usize, size: u32): void {
  bytes.copyWithin(to, from, from + size);
}

export function memoryZero(p: usize, size: u32): void {
  bytes.fill(0, p, p + size);
}

/** Size of the memory in slices; by division, since 4 GiB is not a u32. */
export function memorySlices(): u32 {
  return (buffer.byteLength / 65536) >>> 0;
}

export function memoryGrow(slices: u32): u32 {
  const grown = host.grow(slices) >>> 0;
  memoryRefresh();
  return grown;
}

export function memoryPages(operation: u32, address: usize, size: u32): bool {
  return host.pages(operation, address, size) !== 0;
}

/**
 * Binds the views again if the host's buffer was replaced. Where other code can grow the memory,
 * the host calls this before each call: a check in the core would make every malloc 1.5 times as
 * slow.
 */
export function memoryRefresh(): void {
  if (host.buffer === buffer) return;
  buffer = host.buffer;
  words = new Uint32Array(buffer);
  bytes = new Uint8Array(buffer);
}

/**
 * Called where another thread may have grown a shared memory to `top` slices. Views of a shared
 * memory are never detached, but keep their length, and writes behind their end are ignored.
 */
export function memoryReach(top: u32): void {
  if (words.length < top * 16384) memoryRefresh();
}

export function errorRaise(code: u32, size: u32): void {
  host.error(code, size);
}

/** Product modulo 2^32. */
export function mul32(a: u32, b: u32): u32 {
  return Math.imul(a, b) >>> 0;
}

/** Whether a * b needs more than 32 bits; exact, since doubles round monotonically. */
export function mulOverflows(a: u32, b: u32): bool {
  return a * b > 0xffffffff;
}

export function leadingZeros(x: u32): u32 {
  return Math.clz32(x);
}

export function bitsCount(x: u32): u32 {
  const pairs = x - ((x >>> 1) & 0x55555555);
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** x must not be 0. */
export function trailingZeros(x: u32): u32 {
  return 31 - Math.clz32(x & -x);
}
