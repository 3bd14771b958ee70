/** The calls of a heap: what each is on a core. Arguments are checked by then. */
import { AllocatorBase } from "../../common/allocator-base.ts";
import { checkPointer, pointerError } from "../../common/checks.ts";
import { EINVAL, ENOMEM } from "../../common/errno.ts";
import {
  type HeapError,
  misfit,
  notInABlock,
  outOfMemory,
  SIZE_LIMIT,
} from "../../common/errors.ts";
import type { WholeMemory } from "../../common/views.ts";
import type { CoreExports } from "../../core/contract.ts";
import type { AllocatorCalls } from "./allocator-calls.ts";
import { cellRead, cellWrite, checkCellIn } from "./cells.ts";
import { type Run, withCalls } from "./checked.ts";
import type { HeapHost } from "./contract.ts";
import { type CallName, OS_PAGE } from "./table.ts";
import { environmentCopy, pathCopy, stringCopy, type TextMemory, wideCopy } from "./text.ts";

/** More than any block has: what a product that is too large counts as. */
const TOO_LARGE = 0xffffffff;

/** The least alignment of posix_memalign. */
const POINTER_BYTES = 4;

/** A heap to its calls. */
export interface HeapState {
  readonly core: CoreExports;
  readonly host: HeapHost;
  contains(ptr: number): boolean;
}

/**
 * Each call on a core. A function of its own for each, and not one that looks a name up: the engine
 * inlines the core only into a call that has always had the same target.
 */
export const heapCalls: Readonly<Record<CallName, Run<HeapState>>> = {
  malloc: ({ core }, size) => core.malloc(size) >>> 0,
  calloc: ({ core }, count, size) => core.calloc(count, size) >>> 0,
  zalloc: ({ core }, size) => core.zalloc(size) >>> 0,
  mallocn: ({ core }, count, size) => core.mallocn(count, size) >>> 0,
  realloc: ({ core }, ptr, size) => core.realloc(ptr, size) >>> 0,
  reallocn: ({ core }, ptr, count, size) => core.reallocn(ptr, count, size) >>> 0,
  reallocarray: ({ core }, ptr, count, size) => core.reallocarray(ptr, count, size) >>> 0,
  reallocarr,
  reallocf: ({ core }, ptr, size) => core.reallocf(ptr, size) >>> 0,
  rezalloc: ({ core }, ptr, size) => core.rezalloc(ptr, size) >>> 0,
  recalloc: ({ core }, ptr, count, size) => core.recalloc(ptr, count, size) >>> 0,
  expand: ({ core }, ptr, size) => core.expand(ptr, size) >>> 0,

  memalign: ({ core }, alignment, size) => core.memalign(alignment, size) >>> 0,
  alignedAlloc: ({ core }, alignment, size) => core.aligned_alloc(alignment, size) >>> 0,
  memalignAt: ({ core }, alignment, size, offset) => core.memalignAt(alignment, size, offset) >>> 0,
  posixMemalign,
  valloc: ({ core }, size) => core.memalign(OS_PAGE, size) >>> 0,
  pvalloc: ({ core }, size) => {
    const bytes = Math.ceil(size / OS_PAGE) * OS_PAGE;
    return bytes > SIZE_LIMIT ? 0 : core.memalign(OS_PAGE, bytes) >>> 0;
  },
  mallocAligned: ({ core }, size, alignment) => core.memalign(alignment, size) >>> 0,
  mallocAlignedAt: ({ core }, size, alignment, offset) =>
    core.memalignAt(alignment, size, offset) >>> 0,
  zallocAligned: ({ core }, size, alignment) => core.zallocAlignedAt(size, alignment, 0) >>> 0,
  zallocAlignedAt: ({ core }, size, alignment, offset) =>
    core.zallocAlignedAt(size, alignment, offset) >>> 0,
  callocAligned: ({ core }, count, size, alignment) =>
    core.zallocAlignedAt(product(count, size), alignment, 0) >>> 0,
  callocAlignedAt: ({ core }, count, size, alignment, offset) =>
    core.zallocAlignedAt(product(count, size), alignment, offset) >>> 0,
  reallocAligned: ({ core }, ptr, size, alignment) =>
    core.reallocAligned(ptr, size, alignment) >>> 0,
  reallocAlignedAt: ({ core }, ptr, size, alignment, offset) =>
    core.reallocAlignedAt(ptr, size, alignment, offset) >>> 0,
  rezallocAligned: ({ core }, ptr, size, alignment) =>
    core.rezallocAlignedAt(ptr, size, alignment, 0) >>> 0,
  rezallocAlignedAt: ({ core }, ptr, size, alignment, offset) =>
    core.rezallocAlignedAt(ptr, size, alignment, offset) >>> 0,
  recallocAligned: ({ core }, ptr, count, size, alignment) =>
    core.rezallocAlignedAt(ptr, product(count, size), alignment, 0) >>> 0,
  recallocAlignedAt: ({ core }, ptr, count, size, alignment, offset) =>
    core.rezallocAlignedAt(ptr, product(count, size), alignment, offset) >>> 0,

  free: ({ core }, ptr) => {
    const what = core.freeChecked(ptr);
    if (what !== 0) throw pointerError("free", what, ptr);
  },
  freeSize: (heap, ptr, size) => freeFitting(heap, "freeSize", ptr, size, 1),
  freeSizeAligned: (heap, ptr, size, alignment) =>
    freeFitting(heap, "freeSizeAligned", ptr, size, alignment),
  freeAlignedSized: (heap, ptr, alignment, size) =>
    freeFitting(heap, "freeAlignedSized", ptr, size, alignment),
  freeAligned: (heap, ptr, alignment) => freeFitting(heap, "freeAligned", ptr, 0, alignment),
  cfree: (heap, ptr) => {
    if (heap.contains(ptr)) heap.core.freeChecked(ptr);
  },

  usableSize: ({ core }, ptr) => (ptr === 0 ? 0 : core.usableSize(ptr) >>> 0),
  mallocSize: ({ core }, ptr) => (ptr === 0 ? 0 : core.usableSize(ptr) >>> 0),
  goodSize: ({ core }, size) => core.goodSize(size) >>> 0,
  mallocGoodSize: ({ core }, size) => core.goodSize(size) >>> 0,
  contains: ({ core }, ptr) => !!core.contains(ptr),

  strdup: (heap, ptr) => stringCopy(textsOf(heap, "strdup"), ptr, Number.POSITIVE_INFINITY),
  strndup: (heap, ptr, max) => stringCopy(textsOf(heap, "strndup"), ptr, max),
  mbsdup: (heap, ptr) => stringCopy(textsOf(heap, "mbsdup"), ptr, Number.POSITIVE_INFINITY),
  wideDup: (heap, ptr) => wideCopy(textsOf(heap, "wcsdup"), ptr, 4),
  wcsdup: (heap, ptr) => wideCopy(textsOf(heap, "wcsdup"), ptr, 2),
  dupenvS: (heap, out, size, name) =>
    environmentCopy(textsOf(heap, "dupenvS"), [out, size, name], 1),
  wdupenvS: (heap, out, size, name) =>
    environmentCopy(textsOf(heap, "wdupenvS"), [out, size, name], 2),
  realpath: (heap, ptr, into = 0) => pathCopy(textsOf(heap, "realpath"), ptr, into),

  new: (heap, size) => newNothrow(heap, size) || newFails("new", size),
  newNothrow,
  newN: (heap, count, size) => {
    const bytes = product(count, size);
    if (bytes > SIZE_LIMIT) return newOverflows(heap, "new", bytes);
    return newNothrow(heap, bytes) || newFails("new", bytes);
  },
  newAligned: (heap, size, alignment) =>
    newAlignedNothrow(heap, size, alignment) || newFails("newAligned", size),
  newAlignedNothrow,
  newRealloc,
  newReallocn: (heap, ptr, count, size) => {
    const bytes = product(count, size);
    if (bytes > SIZE_LIMIT) return newOverflows(heap, "newRealloc", bytes);
    return newRealloc(heap, ptr, bytes);
  },
  setNewHandler: ({ host }, handler: unknown) => {
    host.newHandler = handler as HeapHost["newHandler"];
  },
};

/** An allocator whose calls are those of a core. */
abstract class CoreAllocatorBase extends AllocatorBase {
  /** Of a heap that has ended: functions that throw. */
  protected core: CoreExports;
  protected readonly host: HeapHost;

  constructor(core: CoreExports, host: HeapHost, views: WholeMemory) {
    super(views);
    this.core = core;
    this.host = host;
  }

  /** @throws HeapError once the heap has ended. */
  protected checkLive(): void {
    this.core.goodSize(0);
  }

  /** Every later call throws. */
  protected end(error: () => HeapError): void {
    this.core = coreEnded(error);
  }
}

export interface CoreAllocator extends AllocatorCalls, CoreAllocatorBase {}

type CoreAllocatorClass = abstract new (
  core: CoreExports,
  host: HeapHost,
  views: WholeMemory,
) => CoreAllocator;

export const CoreAllocator = /* @__PURE__ */ withCalls(
  CoreAllocatorBase,
  { block: checkBlock, cell: checkCell },
  (call) => heapCalls[call],
) as unknown as CoreAllocatorClass;

function checkBlock({ core }: HeapState, call: string, ptr: number): void {
  checkPointer(ptr);
  if (ptr === 0) return;
  const what = core.pointerCheck(ptr);
  if (what !== 0) throw pointerError(call, what, ptr);
}

/** A word of the heap's own would be written over, unless it is in a block. */
function checkCell({ core, host }: HeapState, call: string, ptr: number): void {
  checkCellIn(call, host.bytes(), ptr);
  if (ptr === 0 || core.contains(ptr) || !host.owns(ptr)) return;
  throw notInABlock(call, ptr);
}

/** Stands in for the core of a heap that has ended, so that no live call pays for the question. */
function coreEnded(error: () => HeapError): CoreExports {
  return new Proxy({} as CoreExports, {
    get: () => () => {
      throw error();
    },
  });
}

/** count * size; what is too large stays so. */
function product(count: number, size: number): number {
  return Math.min(count * size, TOO_LARGE);
}

function freeFitting(
  { core }: HeapState,
  call: string,
  ptr: number,
  size: number,
  alignment: number,
): void {
  if (ptr === 0) return;
  const holds = core.usableSize(ptr) >>> 0;
  if (size > holds || ptr % alignment !== 0) throw misfit(call, ptr, holds, size, alignment);
  const what = core.freeChecked(ptr);
  if (what !== 0) throw pointerError(call, what, ptr);
}

function textsOf({ core, host }: HeapState, call: string): TextMemory {
  return { call, malloc: (size) => core.malloc(size) >>> 0, bytes: () => host.bytes() };
}

function reallocarr(heap: HeapState, at: number, count: number, size: number): number {
  const { core, host } = heap;
  if (at === 0) return EINVAL;
  const ptr = cellRead("reallocarr", host.bytes(), at);
  checkBlock(heap, "reallocarr", ptr);
  const to = core.reallocn(ptr, count, size) >>> 0;
  if (to === 0) return ENOMEM;
  cellWrite("reallocarr", host.bytes(), at, to);
  return 0;
}

function posixMemalign(
  { core, host }: HeapState,
  out: number,
  alignment: number,
  size: number,
): number {
  if (out === 0 || alignment < POINTER_BYTES || (alignment & (alignment - 1)) !== 0) return EINVAL;
  const ptr = core.memalign(alignment, size) >>> 0;
  if (ptr === 0) return ENOMEM;
  cellWrite("posixMemalign", host.bytes(), out, ptr);
  return 0;
}

function newNothrow({ core, host }: HeapState, size: number): number {
  return newTry(host, size, () => core.malloc(size));
}

function newAlignedNothrow({ core, host }: HeapState, size: number, alignment: number): number {
  return newTry(host, size, () => core.memalign(alignment, size));
}

function newRealloc({ core, host }: HeapState, ptr: number, size: number): number {
  const moved = newTry(host, size, () => core.realloc(ptr, size));
  return moved || newFails("newRealloc", size);
}

function newTry(host: HeapHost, size: number, attempt: () => number): number {
  for (;;) {
    const ptr = attempt() >>> 0;
    if (ptr !== 0) return ptr;
    if (!host.newHandler) break;
    host.newHandler();
    if (size > SIZE_LIMIT) break; // no handler can free so much
  }
  host.newFails(size);
  return 0;
}

/** As mimalloc: the handler is called once, and the request fails. */
function newOverflows({ host }: HeapState, call: string, size: number): 0 {
  if (host.newHandler) {
    host.newHandler();
    return 0;
  }
  host.newFails(size);
  return newFails(call, size);
}

function newFails(call: string, size: number): never {
  throw outOfMemory(call, size);
}
