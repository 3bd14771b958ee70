/** WebAssembly.Memory as a source: a new one, or the caller's from an offset on. */
import { optionsCheck } from "../common/option-table.ts";
import {
  type GrowthOptions,
  growWithin,
  type MemorySource,
  requireShared,
  SLICE_BYTES,
  SLICES_LIMIT,
  slicesFor,
} from "./source.ts";
import { wasmMemoryChecks } from "./source-options.ts";

/** Options of `wasmMemory`. */
export interface WasmMemoryOptions extends GrowthOptions {
  /** A memory of the caller's. Default: a new one. */
  memory?: WebAssembly.Memory | undefined;
  /**
   * Offset of the first byte that the heap may use, rounded up to 64 KiB; the bytes below stay the
   * caller's. Default: the end of a memory of the caller's; 64 KiB in a new one, so that a write
   * through a null pointer damages nothing.
   */
  offset?: number | undefined;
  /** Bytes that a new memory has at first, rounded up to 64 KiB. Default: as few as possible. */
  initial?: number | undefined;
  /**
   * Whether a memory of the caller's is zero from `offset` on. Default: true if `offset` is at its
   * end, else false.
   */
  zeroed?: boolean | undefined;
  /**
   * Makes a new memory that threads can share. It reserves address space up to `maximum`; without a
   * maximum it tries 4, 2 and 1 GiB, and so on down to 64 MiB. Default: false.
   */
  shared?: boolean | undefined;
}

/**
 * A source over WebAssembly.Memory.
 *
 * @throws TypeError or RangeError for a number of bytes out of range; RangeError when the engine
 * refuses the memory, or cannot share memory because the page is not cross-origin isolated.
 * @example
 * const source = wasmMemory({ maximum: 64 * 2 ** 20 });
 */
export function wasmMemory(options: WasmMemoryOptions = {}): MemorySource {
  optionsCheck(wasmMemoryChecks, options);
  if (options.memory) check32(options.memory);
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
    ...(options.maximum !== undefined && { maximum: options.maximum }),
    grow: (slices) =>
      growWithin(slices, memory.buffer.byteLength / SLICE_BYTES, options, (n) => grown(memory, n)),
  };
}

/** Modules that import a memory with addresses of 32 bits, for one thread and for threads. */
const probes = [
  [0, 0],
  [3, 0, 0x80, 0x80, 4],
];

/**
 * Asking the memory to grow by 0 would detach its buffer; linking changes nothing. Both are tried,
 * because the type of a shared buffer is not known where SharedArrayBuffer is not.
 */
function check32(memory: WebAssembly.Memory): void {
  if (probes.some((limits) => isTaken(memory, limits) !== false)) return;
  throw new RangeError(
    'the memory has 64-bit addresses: a heap needs 32-bit ones, made without address: "i64"',
  );
}

/** Whether a module that imports such a memory takes this one; undefined if none may compile. */
function isTaken(memory: WebAssembly.Memory, limits: readonly number[]): boolean | undefined {
  const section = [1, 1, 0x65, 1, 0x6d, 2, ...limits];
  const bytes = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 2, section.length, ...section];
  let probe: WebAssembly.Module;
  try {
    probe = new WebAssembly.Module(Uint8Array.from(bytes));
  } catch {
    return undefined; // the heap runs in JavaScript there
  }
  try {
    new WebAssembly.Instance(probe, { e: { m: memory } });
    return true;
  } catch {
    return false;
  }
}

/**
 * V8 informs a thread of growth by other threads with an interrupt, but not while the thread is
 * receiving the memory. Then the memory keeps its old length until the next growth, and writes
 * beyond that length are lost: in Node 26.10, one of some 6 000 memories that were received during
 * a growth was too short. Growth by 0 makes the engine look.
 */
function lengthRenew(memory: WebAssembly.Memory): void {
  if (isShared(memory.buffer)) grown(memory, 0);
}

/** In a memory that is not shared, `growWithin` alone enforces `maximum`. */
function memoryNew(options: WasmMemoryOptions): WebAssembly.Memory {
  const initial = slicesFor(Math.max(options.initial ?? 0, (options.offset ?? SLICE_BYTES) + 1));
  if (options.maximum !== undefined && initial * SLICE_BYTES > options.maximum) {
    throw new RangeError(
      `maximum must be at least ${initial * SLICE_BYTES} bytes, not ${options.maximum}`,
    );
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
