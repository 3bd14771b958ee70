/** Creates size-class allocators: in an address space, in a memory, in another thread. */

import { outOfMemory } from "../../common/errors.ts";
import { errorText } from "../../common/log-messages.ts";
import type { BackEnd } from "../../heap/calls/contract.ts";
import { type NewMemory, sourceDefault } from "../../heap/new-memory.ts";
import {
  type MemorySource,
  sharedArrayBuffer,
  tryOsPages,
  wasmMemory,
} from "../../memory/index.ts";
import { SLICE_BYTES, SLICES_LIMIT, slicesFor } from "../../memory/source.ts";
import type { AddressSpace, Geometry, SizeClassCore } from "../core/contract.ts";
import { ARRAY_FULL, C_SLOTS, DOUBLE_FREE, NEVER, REGION_FULL } from "../core/layout.ts";
import { coreBind, linearCore, type SpaceHooks, topWrite, wideCore } from "../spaces/host.ts";
import { createSizeClassMap, type SizeClassMap } from "../spaces/maps.ts";
import { type AllocatorParts, SizeClassAllocator } from "./allocator.ts";
import { arrayFull, freedTwice, noThread, regionFull } from "./errors.ts";
import { geometryOf } from "./geometry.ts";
import { handleCheck } from "./handle-check.ts";
import { SizeClassHeap } from "./linear.ts";
import { type SizeClassOptions, sizeClassCheck } from "./options.ts";
import { Primary, type Words } from "./primary.ts";
import { SharedSizeClassHeap, type SizeClassHandle } from "./shared.ts";

/** The original constants: 64 regions of 16 GiB. */
const WIDE = { spaceSize: 2 ** 40, map: "default" } as const;
/** Reserved, 32 regions of 2 MiB, whose chunks of 32 bytes and more fit their free arrays. */
const LINEAR = { spaceSize: 2 ** 26, map: "veryCompact" } as const;
/** Scudo's default. */
const INTERVAL = 5000;

/**
 * Creates a size-class allocator: in linear memory, or with `space` in an address space beyond it.
 * The options say which of them exclude each other.
 *
 * @throws TypeError or RangeError for options that are unknown, out of range or in conflict, with
 * the numbers; also when the memory has no space for the allocator.
 * @throws HeapError ERR_OUT_OF_MEMORY when the memory cannot be committed.
 * @example
 * using heap = createSizeClassHeap({ shuffle: true });
 * heap.free(heap.malloc(100));
 */
export function createSizeClassHeap(
  options: SizeClassOptions & { readonly space: AddressSpace },
): SizeClassAllocator;
/** Creates a size-class heap in shared memory, for threads to attach to: see the first form. */
export function createSizeClassHeap(
  options: SizeClassOptions & { readonly shared: true },
): SharedSizeClassHeap;
/** Creates a size-class heap in linear memory, for one thread: see the first form. */
export function createSizeClassHeap(options?: SizeClassOptions): SizeClassHeap;
export function createSizeClassHeap(options: SizeClassOptions = {}): SizeClassAllocator {
  sizeClassCheck(options);
  return options.space ? wideMake(options, options.space) : linearMake(options);
}

/**
 * Attaches this thread to the allocator of another one. `handle` is what its `handle()`, or
 * `startWorker`, gave.
 *
 * @throws TypeError unless handle is one.
 * @throws SizeClassError ERR_NO_THREAD when all thread slots are taken, or the thread of the handle
 * is attached already.
 * @example
 * const heap = attachSizeClassHeap(workerData);
 * heap.free(heap.malloc(100));
 * heap.detach();
 */
export function attachSizeClassHeap(
  handle: SizeClassHandle,
  options: Pick<SizeClassOptions, "onError" | "onExhausted"> = {},
): SharedSizeClassHeap {
  handleCheck(handle);
  const { geometry, backend, memory, buffer, maximum } = handle;
  const plain = memory
    ? wasmMemory({ memory, offset: geometry.space, maximum })
    : sharedArrayBuffer({ buffer, offset: geometry.space });
  const source = handle.release ? tryOsPages(plain) : plain;
  const parts = partsOf(
    geometry,
    options,
    (hooks) => linearCore(backend, source, true, geometry, hooks),
    {
      load32: (p) => Atomics.load(new Uint32Array(source.buffer), p / 4),
      store32: (p, value) => void Atomics.store(new Uint32Array(source.buffer), p / 4, value),
    },
  );
  const threadId = slotFind(parts.core, geometry, handle.threadId);
  const heap = new SharedSizeClassHeap({ ...parts, source, backend, threadId, maximum });
  parts.grown = () => heap.viewsReset();
  return heap;
}

/** Takes a thread slot. Returns the id of the thread: the given one, or a new one for 0. */
function slotFind(core: SizeClassCore, { threadSlots }: Geometry, given: number): number {
  const threadId = given === 0 ? core.threadIdDraw() >>> 0 : given;
  for (let slot = 0; slot < threadSlots; slot++) {
    if (core.controlWord(C_SLOTS + 4 * slot) >>> 0 === threadId)
      throw noThread(threadSlots, threadId);
  }
  if (!core.slotTake(threadId)) throw noThread(threadSlots, 0);
  return threadId;
}

function wideMake(options: SizeClassOptions, space: AddressSpace): SizeClassAllocator {
  const begin = options.spaceBegin ?? space.begin;
  const { bytes = 2 ** 52, pageBytes: pageSize = 4096 } = space;
  // Regions have at most half of the space; the rest is for large blocks.
  const spaceSize = Math.min(WIDE.spaceSize, 2 ** (Math.ceil(Math.log2(bytes)) - 1));
  const limit = space.begin + bytes;
  const geometry = geometryOf(options, { ...WIDE, spaceSize, pageSize, begin, limit });
  const resident = space.resident?.bind(space);
  const parts = partsOf(geometry, options, (hooks) => wideCore(space, hooks), space, resident);
  if (!space.map(geometry.control, geometry.controlBytes)) {
    throw new RangeError(`${space.kind} has no space for the allocator at ${begin}`);
  }
  options.onMap?.(geometry.control, geometry.controlBytes);
  coreInit(parts.core, geometry, options, -1);
  const destroy = () => {
    options.onUnmap?.(geometry.space, geometry.spaceSize + geometry.controlBytes);
    space.destroy?.();
  };
  return new SizeClassAllocator({ ...parts, destroy });
}

function linearMake(options: SizeClassOptions): SizeClassHeap {
  const { backend = "wasm", shared = false, maximum } = options;
  const given = sourceOf(backend, options);
  const source = options.release ? options.release(given) : given;
  if (source.capabilities.shared !== shared) {
    throw new RangeError(
      `${source.kind} is ${shared ? "not shared" : "shared: set the option shared"}`,
    );
  }
  const foreign = shared || options.memory !== undefined;
  const { canGrow } = source.capabilities;
  const most = options.memory ? undefined : newMemory(shared, maximum).maximum;
  const limit = canGrow
    ? Math.min(SLICES_LIMIT * SLICE_BYTES, most ?? 2 ** 32)
    : source.buffer.byteLength;
  const pageSize = source.pages?.pageBytes ?? 4096;
  const geometry = geometryOf(options, { ...LINEAR, pageSize, begin: source.start, limit });
  spaceEnsure(source, geometry, given.capabilities.zeroed && !used.has(given));
  used.add(given);
  const words: Words = {
    load32: (p) => new Uint32Array(source.buffer)[p / 4] as number,
    store32(p, value) {
      new Uint32Array(source.buffer)[p / 4] = value;
    },
  };
  const parts = partsOf(
    geometry,
    options,
    (hooks) => linearCore(backend, source, foreign, geometry, hooks),
    words,
    source.pages?.resident?.bind(source.pages),
  );
  options.onMap?.(geometry.control, geometry.controlBytes);
  coreInit(parts.core, geometry, options, source.pages ? INTERVAL : -1);
  const threadId = parts.core.threadIdDraw() >>> 0;
  parts.core.slotTake(threadId);
  const heap = shared
    ? new SharedSizeClassHeap({ ...parts, source, backend, threadId, maximum })
    : new SizeClassHeap({ ...parts, source, backend });
  parts.grown = () => heap.viewsReset();
  return heap;
}

function sourceOf(backend: BackEnd, options: SizeClassOptions): MemorySource {
  const { memory, shared, maximum } = options;
  if (memory === undefined) return sourceDefault(backend, newMemory(shared, maximum));
  return memory instanceof WebAssembly.Memory ? wasmMemory({ memory }) : memory;
}

/** A SharedArrayBuffer has its full size from the beginning: it must hold the whole space. */
function newMemory(shared: boolean | undefined, maximum: number | undefined): NewMemory {
  return { shared, maximum: maximum ?? (shared ? 2 ** 28 : undefined) };
}

/** Sources that an allocator has used before: they may hold bytes that are not zero. */
const used = new WeakSet<MemorySource>();

/** Grows the memory over the space and the control area: untouched, they cost only addresses. */
function spaceEnsure(source: MemorySource, geometry: Geometry, zeroed: boolean): void {
  const missing = geometry.large - source.buffer.byteLength;
  if (missing > 0 && source.grow(slicesFor(missing)) === 0) {
    const { mapRegions, spaceSize, space } = geometry;
    const regions = mapRegions > 0 ? "" : `${spaceSize} bytes of space and `;
    throw new RangeError(
      `${source.kind} of ${source.buffer.byteLength} bytes has no space for ${regions}` +
        `${geometry.controlBytes} of control from ${Math.min(space, geometry.control)} on`,
    );
  }
  const { control, controlBytes } = geometry;
  if (source.pages?.needsCommit && !source.pages.commit(control, controlBytes)) {
    throw outOfMemory("createSizeClassHeap", controlBytes);
  }
  if (!zeroed) new Uint8Array(source.buffer, control, controlBytes).fill(0);
  topWrite(source, geometry, Math.floor(source.buffer.byteLength / SLICE_BYTES));
}

/** The parts, and what is called after a growth: it is set once there is a heap. */
interface StartedParts extends AllocatorParts {
  grown: () => void;
}

function partsOf(
  geometry: Geometry,
  options: SizeClassOptions,
  start: (hooks: SpaceHooks) => SizeClassCore,
  words: Words,
  resident?: (address: number, bytes: number) => number,
): StartedParts {
  const map = createSizeClassMap(geometry.map);
  const hooks: SpaceHooks = {
    onError: (code, size) => onCoreError(options, map, geometry, code, size),
    onGrow: () => parts.grown(),
    onMap: (address, bytes) => void safely(() => options.onMap?.(address, bytes)),
    onUnmap: (address, bytes) => void safely(() => options.onUnmap?.(address, bytes)),
    now: () => safely(() => options.now?.()) ?? performance.now(),
  };
  const core = start(hooks);
  coreBind(core, geometry, map.rounded);
  const primary = new Primary({ core, map, geometry, words, resident });
  const parts: StartedParts = { core, primary, geometry, destroy: () => {}, grown: () => {} };
  return parts;
}

/** Calls a function of the user while a lock is held: what it throws is thrown in a microtask. */
function safely<R>(call: () => R): R | undefined {
  try {
    return call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
    return undefined;
  }
}

/** The core reports: mistakes throw, a full class or memory calls the user's function. */
function onCoreError(
  options: SizeClassOptions,
  map: SizeClassMap,
  geometry: Geometry,
  code: number,
  size: number,
): void {
  const bytes = map.size(code & 0xffff);
  const kind = code & ~0xffff;
  if (kind === REGION_FULL) options.onExhausted?.(regionFull(geometry, bytes));
  else if (kind === ARRAY_FULL) throw arrayFull(bytes);
  else if (kind === DOUBLE_FREE) throw freedTwice(chunkAddress(geometry, code, size), bytes);
  else options.onError?.(code, size, errorText(code, size));
}

function chunkAddress(geometry: Geometry, code: number, compact: number): number {
  const { space, regionLog, mapRegions } = geometry;
  const base = mapRegions > 0 ? space : space + (code & 0xffff) * 2 ** regionLog;
  return base + compact * 16;
}

function coreInit(
  core: SizeClassCore,
  geometry: Geometry,
  options: SizeClassOptions,
  usual: number,
): void {
  const { cachedHint, bytesCachedLog } = geometry.map;
  const interval = options.releaseInterval ?? usual;
  const every = interval < 0 ? NEVER : interval;
  core.slotBind(1, 0);
  core.spaceInit(cachedHint, bytesCachedLog, seedOf(options), every);
}

/** In linear memory a random number; in a space, where its address is drawn, the address. */
function seedOf({ seed, shuffle, space }: SizeClassOptions): number {
  if (seed !== undefined) return seed;
  if (!shuffle || space !== undefined) return 0;
  const words = new Uint32Array(1);
  globalThis.crypto.getRandomValues(words);
  return words[0] as number;
}
