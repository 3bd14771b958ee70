/**
 * The intrinsics of the core, JavaScript side. The build wraps the bundled core in a factory whose
 * parameter is `host`; glue.as.ts is the AssemblyScript side with the same names and types.
 *
 * `words` and `bytes` are bound anew when the host's buffer changed: no caller may keep a view of
 * its own across a call that can grow.
 */

/** What the core asks of the place where it runs. */
export interface CoreHost {
  /** The memory; after a growth it may be another object. */
  readonly buffer: ArrayBufferLike;
  /**
   * Grows by at least `slices` slices of 64 KiB. Answers `granted << 16 | previous size in slices`,
   * or 0 when it refuses.
   */
  grow(slices: number): number;
  /**
   * Commits, decommits, resets or zeroes a range of whole slices: PAGES_* of layout.ts. Answers 1
   * if it did, else 0. Asked to commit only if heapInit was told so, and for the others only after
   * purgeSet: a host that does neither answers 0.
   */
  pages(operation: number, address: number, bytes: number): number;
  /** Reports an error code of layout.ts and the size that was asked for. */
  error(code: number, size: number): void;
}

declare const host: CoreHost;

let buffer: ArrayBufferLike = host.buffer;
/** For atomics.ts only. */
export let words = new Uint32Array(buffer);
/** For glue-hard.ts only. */
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

/** Size of the memory in slices; a division, since 4 GiB is no u32. */
export function memorySlices(): u32 {
  return (buffer.byteLength / 65536) >>> 0;
}

export function memoryGrow(slices: u32): u32 {
  const answer = host.grow(slices) >>> 0;
  memoryRefresh();
  return answer;
}

export function memoryPages(operation: u32, address: usize, size: u32): bool {
  return host.pages(operation, address, size) !== 0;
}

/**
 * Binds the views again if the host's buffer was replaced. Where others can grow the memory, the
 * host calls this before each entry: the core asking itself costs every malloc a half more.
 */
export function memoryRefresh(): void {
  if (host.buffer === buffer) return;
  buffer = host.buffer;
  words = new Uint32Array(buffer);
  bytes = new Uint8Array(buffer);
}

/**
 * Called where another thread may have grown a shared memory to `top` slices: views of it are
 * never detached, but stay short, and what is written behind their end vanishes.
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
