/** ArrayBuffer and SharedArrayBuffer as sources, for the JavaScript back end. */
import { optionsCheck } from "../common/option-table.ts";
import {
  type GrowthOptions,
  growWithin,
  type MemoryCapabilities,
  type MemorySource,
  requireShared,
  SLICE_BYTES,
  slicesFor,
} from "./source.ts";
import { arrayBufferChecks, sharedArrayBufferChecks } from "./source-options.ts";

/** Options of `arrayBuffer`. */
export interface ArrayBufferOptions extends GrowthOptions {
  /** A buffer of the caller's; it grows only if it is resizable. Default: a new one. */
  buffer?: ArrayBuffer | undefined;
  /**
   * Offset of the first byte that the heap may use, rounded up to 64 KiB. Default: 64 KiB in a new
   * buffer, 0 in one of the caller's.
   */
  offset?: number | undefined;
  /** Bytes that a new buffer has at first. Default: as few as possible. */
  initial?: number | undefined;
  /** Whether a buffer of the caller's is zero from `offset` on. Default: false. */
  zeroed?: boolean | undefined;
}

/** Options of `sharedArrayBuffer`. */
export interface SharedArrayBufferOptions {
  /** A buffer of the caller's; it grows only if it is growable. Default: a new one. */
  buffer?: SharedArrayBuffer | undefined;
  /**
   * Offset of the first byte that the heap may use, rounded up to 64 KiB. Default: 64 KiB in a new
   * buffer, 0 in one of the caller's.
   */
  offset?: number | undefined;
  /** Whether a buffer of the caller's is zero from `offset` on. Default: false. */
  zeroed?: boolean | undefined;
  /** Bytes that a new growable buffer has at first. Default: 128 KiB. */
  initial?: number | undefined;
  /**
   * Largest size in bytes, rounded up to 64 KiB. A new buffer has it at once, unless `growable`.
   * Default: 64 MiB.
   */
  maximum?: number | undefined;
  /**
   * Makes a growable buffer. V8 reads such a buffer 40 times slower; the pages of a fixed one that
   * were never touched cost nothing on most systems. Default: false.
   */
  growable?: boolean | undefined;
  /** By how much a growable buffer grows. Default: growEighth. */
  growth?: GrowthOptions["growth"];
}

/** Members of lib.es2024. */
interface Resizable {
  readonly resizable?: boolean;
  readonly growable?: boolean;
  readonly maxByteLength?: number;
  resize?(bytes: number): void;
  grow?(bytes: number): void;
}

const SHARED_DEFAULT = 64 * 2 ** 20;

/**
 * A source over an ArrayBuffer. A new buffer grows by moving to a larger one: accesses to a
 * resizable buffer take 2.5 times as long, and by default the memory moves only once an eighth more
 * is needed. The old buffer is detached, so that old views are empty. For one thread.
 *
 * @throws TypeError or RangeError for a number of bytes out of range.
 * @example
 * const source = arrayBuffer({ initial: 2 ** 20 });
 */
export function arrayBuffer(options: ArrayBufferOptions = {}): MemorySource {
  optionsCheck(arrayBufferChecks, options);
  return options.buffer ? callersBuffer(options.buffer, options) : movingBuffer(options);
}

function movingBuffer(options: ArrayBufferOptions): MemorySource {
  const start = slicesFor(options.offset ?? SLICE_BYTES) * SLICE_BYTES;
  const least = Math.max(options.initial ?? 0, start + SLICE_BYTES);
  let buffer = new ArrayBuffer(slicesFor(least) * SLICE_BYTES);
  return {
    kind: "ArrayBuffer",
    capabilities: capabilities({ canGrow: true, zeroed: true, detaches: true }),
    get buffer() {
      return buffer;
    },
    start,
    ...(options.maximum !== undefined && { maximum: options.maximum }),
    grow: (slices) =>
      growWithin(slices, buffer.byteLength / SLICE_BYTES, options, (n) => {
        const before = buffer.byteLength / SLICE_BYTES;
        const moved = moveBuffer(buffer, buffer.byteLength + n * SLICE_BYTES);
        if (moved) buffer = moved;
        return moved ? before : -1;
      }),
  };
}

/** The bytes in a larger buffer; the old one is detached, as by memory.grow. */
function moveBuffer(from: ArrayBuffer, bytes: number): ArrayBuffer | undefined {
  try {
    const to = new ArrayBuffer(bytes);
    new Uint8Array(to).set(new Uint8Array(from));
    structuredClone(from, { transfer: [from] });
    return to;
  } catch {
    return undefined;
  }
}

function callersBuffer(buffer: ArrayBuffer, options: ArrayBufferOptions): MemorySource {
  const { resizable, maxByteLength } = buffer as Resizable;
  const limits = { ...options, maximum: Math.min(options.maximum ?? 2 ** 32, maxByteLength ?? 0) };
  return {
    kind: "ArrayBuffer",
    capabilities: capabilities({ canGrow: resizable === true, zeroed: options.zeroed === true }),
    buffer,
    start: slicesFor(options.offset ?? 0) * SLICE_BYTES,
    maximum: resizable ? limits.maximum : buffer.byteLength,
    grow: (slices) => {
      if (!resizable) return 0;
      return growWithin(slices, Math.floor(buffer.byteLength / SLICE_BYTES), limits, (n) =>
        resized(buffer, n),
      );
    },
  };
}

function resized(buffer: Resizable & { byteLength: number }, slices: number): number {
  try {
    const before = Math.floor(buffer.byteLength / SLICE_BYTES);
    const bytes = (before + slices) * SLICE_BYTES;
    if (buffer.resize) buffer.resize(bytes);
    else buffer.grow?.(bytes);
    return before;
  } catch {
    return -1;
  }
}

/**
 * A source over a SharedArrayBuffer, for memory that threads share without WebAssembly.
 *
 * @throws TypeError or RangeError for a number of bytes out of range; RangeError where the page is
 * not cross-origin isolated.
 * @example
 * const source = sharedArrayBuffer({ maximum: 2 ** 24 });
 */
export function sharedArrayBuffer(options: SharedArrayBufferOptions = {}): MemorySource {
  optionsCheck(sharedArrayBufferChecks, options);
  const buffer = options.buffer ?? sharedNew(options);
  const { growable, maxByteLength } = buffer as Resizable;
  const limits = { ...options, maximum: Math.min(options.maximum ?? 2 ** 32, maxByteLength ?? 0) };
  return {
    kind: "SharedArrayBuffer",
    capabilities: capabilities({
      canGrow: growable === true,
      shared: true,
      zeroed: options.zeroed ?? !options.buffer,
    }),
    buffer,
    start: slicesFor(options.offset ?? (options.buffer ? 0 : SLICE_BYTES)) * SLICE_BYTES,
    maximum: growable ? limits.maximum : buffer.byteLength,
    grow: (slices) => {
      if (!growable) return 0;
      return growWithin(slices, Math.floor(buffer.byteLength / SLICE_BYTES), limits, (n) =>
        resized(buffer as Resizable & { byteLength: number }, n),
      );
    },
  };
}

function sharedNew(options: SharedArrayBufferOptions): SharedArrayBuffer {
  requireShared();
  const maximum = slicesFor(options.maximum ?? SHARED_DEFAULT) * SLICE_BYTES;
  if (!options.growable) return new SharedArrayBuffer(maximum);
  const initial = slicesFor(Math.max(options.initial ?? 0, 2 * SLICE_BYTES)) * SLICE_BYTES;
  const Growable = SharedArrayBuffer as unknown as new (
    bytes: number,
    limits: { maxByteLength: number },
  ) => SharedArrayBuffer;
  return new Growable(initial, { maxByteLength: maximum });
}

function capabilities(some: Partial<MemoryCapabilities>): MemoryCapabilities {
  return {
    canGrow: false,
    shared: false,
    zeroed: false,
    detaches: false,
    canRelease: false,
    canProtect: false,
    ...some,
  };
}
