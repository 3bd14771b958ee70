/** WebAssembly.Memory as a source: our own, or the caller's from an offset on. */
import {
  checkBytes,
  type GrowthOptions,
  growWithin,
  type MemorySource,
  requireShared,
  SLICE_BYTES,
  SLICES_LIMIT,
  slicesFor,
} from "./source.ts";

export interface WasmMemoryOptions extends GrowthOptions {
  /** The caller's memory; without it a new one is made. */
  memory?: WebAssembly.Memory | undefined;
  /**
   * First byte that the heap may use, rounded up to 64 KiB; what lies below stays the caller's.
   * Default: the end of a caller's memory; 64 KiB in a memory of our own, so that writes through a
   * null pointer hit nothing.
   */
  offset?: number | undefined;
  /** Bytes of a new memory that are there at once. Default: as few as possible. */
  initial?: number | undefined;
  /** Tells that a caller's memory is zero from `offset` on. Default: only what grows is. */
  zeroed?: boolean | undefined;
  /**
   * Makes a new memory that threads can share. It reserves address space up to `maximum`; without
   * one it takes the largest that the engine grants of 4, 2 and 1 GiB, and so on to 64 MiB.
   */
  shared?: boolean | undefined;
}

/**
 * A source over WebAssembly.Memory.
 *
 * @throws RangeError when a number of bytes makes no sense or the engine refuses the memory.
 * @example
 * const source = wasmMemory({ maximum: 64 * 2 ** 20 });
 */
export function wasmMemory(options: WasmMemoryOptions = {}): MemorySource {
  for (const name of ["offset", "initial", "maximum"] as const) checkBytes(name, options[name]);
  const memory = options.memory ?? memoryNew(options);
  if (options.memory) lengthRenew(memory);
  const before = memory.buffer.byteLength;
  const offset = options.offset ?? (options.memory ? before : SLICE_BYTES);
  const start = slicesFor(offset) * SLICE_BYTES;
  return {
    kind: "WebAssembly.Memory",
    capabilities: {
      canGrow: true,
      shared: isShared(memory.buffer),
      zeroed: options.zeroed ?? (!options.memory || start >= before),
      detaches: !isShared(memory.buffer),
      canRelease: false,
      canProtect: false,
    },
    get buffer() {
      return memory.buffer;
    },
    start,
    memory,
    grow: (slices) =>
      growWithin(slices, memory.buffer.byteLength / SLICE_BYTES, options, (n) => grown(memory, n)),
  };
}

/**
 * V8 tells a thread of growth by others with an interrupt, but not while the thread is just
 * receiving the memory: then the memory keeps its old length until somebody grows it once more, and
 * what is written behind that vanishes. In Node 26.10 one of some 6 000 that were received during a
 * growth was too short. Growth by nothing makes the engine look.
 */
function lengthRenew(memory: WebAssembly.Memory): void {
  if (isShared(memory.buffer)) grown(memory, 0);
}

/** The engine checks `maximum` too, but only `growWithin` knows it for a caller's memory. */
function memoryNew(options: WasmMemoryOptions): WebAssembly.Memory {
  const initial = slicesFor(Math.max(options.initial ?? 0, (options.offset ?? SLICE_BYTES) + 1));
  if (options.maximum !== undefined && initial * SLICE_BYTES > options.maximum) {
    throw new RangeError(`maximum ${options.maximum} is below the ${initial * SLICE_BYTES} needed`);
  }
  return options.shared ? sharedNew(initial, options.maximum) : new WebAssembly.Memory({ initial });
}

const SHARED_LEAST = 2 ** 26 / SLICE_BYTES;

function sharedNew(initial: number, bytes: number | undefined): WebAssembly.Memory {
  requireShared();
  const most = bytes === undefined ? SLICES_LIMIT : Math.floor(bytes / SLICE_BYTES);
  const least = bytes === undefined ? Math.max(initial, SHARED_LEAST) : most;
  return sharedWithin(initial, Math.min(most, SLICES_LIMIT), least);
}

/** Halves the maximum while the engine refuses it, down to `least` slices. */
function sharedWithin(initial: number, maximum: number, least: number): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial, maximum, shared: true });
  } catch (error) {
    if (maximum >>> 1 < least) throw error;
    return sharedWithin(initial, maximum >>> 1, least);
  }
}

function isShared(buffer: ArrayBufferLike): boolean {
  return typeof SharedArrayBuffer !== "undefined" && buffer instanceof SharedArrayBuffer;
}

function grown(memory: WebAssembly.Memory, slices: number): number {
  try {
    return memory.grow(slices);
  } catch {
    return -1;
  }
}
