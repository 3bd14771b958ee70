/**
 * The typed door: a heap whose every argument is checked, over any memory, in either back end.
 */

import { abiOf, type HeapAbi } from "./abi.ts";
import type { BackEnd, CoreHooks, ErrorHandler } from "./backend.ts";
import type { CoreExports } from "./core/contract.ts";
import { A_TOP } from "./core/layout.ts";
import {
  alignmentRefuse,
  foreignPointer,
  type HeapError,
  heapDestroyed,
  interiorPointer,
  outOfMemory,
  pointerRefuse,
  SIZE_LIMIT,
  sizeRefuse,
} from "./errors.ts";
import type { MemorySource } from "./memory/index.ts";
import { HeapView, MemoryViews, type TypedArray, type TypedArrayConstructor } from "./views.ts";
import { type BlockVisitor, blocksVisit, type HeapStats, statsRead } from "./walk.ts";

const PTR_FOREIGN = 1;

/** What a heap is made of. */
export interface HeapParts {
  backend: BackEnd;
  source: MemorySource;
  onError: ErrorHandler | undefined;
  /** Other threads may grow the memory. */
  shared?: boolean;
  start(hooks: CoreHooks): CoreExports;
}

/**
 * A heap over one memory, for one thread. Pointers are byte offsets into `buffer`; 0 is null and
 * never a block. Allocation answers 0 when memory is out; mistakes throw and change nothing.
 *
 * Algorithm: mimalloc (Leijen, Zorn, de Moura, APLAS 2019) over slices of 64 KiB.
 *
 * @example
 * using heap = createHeap();
 * const ptr = heap.malloc(100);
 * heap.u8[ptr] = 1;
 * heap.free(ptr);
 */
export class Heap {
  /** Where the bytes come from. */
  readonly source: MemorySource;
  readonly backend: BackEnd;
  /** C's allocation functions, unchecked, for the import object of a wasm module. */
  readonly abi: HeapAbi;
  #core: CoreExports;
  #onError: ErrorHandler;
  #newHandler: (() => void) | undefined;
  readonly #views: MemoryViews;

  /** Use createHeap. */
  constructor(parts: HeapParts) {
    this.backend = parts.backend;
    this.source = parts.source;
    this.#onError = parts.onError ?? (() => {});
    this.#views = new MemoryViews(this);
    this.#core = parts.start({
      onError: (code, size) => this.#onError(code, size),
      onGrow: () => this.#views.reset(),
    });
    if (parts.shared) this.#views.share(this.source.start + A_TOP);
    this.abi = abiOf(this.#core, this.backend);
  }

  /** A block of at least `size` bytes, aligned to 16 (8 up to 8 bytes); 0 = out of memory. */
  malloc(size: number): number {
    checkSize(size, "size");
    return this.#core.malloc(size) >>> 0;
  }

  /** A block of `count * size` zero bytes; 0 also when the product is too large. */
  calloc(count: number, size: number): number {
    checkSize(count, "count");
    checkSize(size, "size");
    return this.#core.calloc(count, size) >>> 0;
  }

  /** A block of `size` zero bytes. */
  zalloc(size: number): number {
    checkSize(size, "size");
    return this.#core.zalloc(size) >>> 0;
  }

  /** A block of `count * size` bytes; 0 also when the product is too large. */
  mallocn(count: number, size: number): number {
    checkSize(count, "count");
    checkSize(size, "size");
    return this.#core.mallocn(count, size) >>> 0;
  }

  /**
   * Resizes a block, moving it if need be; contents up to the smaller size stay. A null pointer
   * allocates; size 0 answers another, minimal block. 0 = out of memory, and ptr is as it was.
   */
  realloc(ptr: number, size: number): number {
    this.#checkBlock("realloc", ptr);
    checkSize(size, "size");
    return this.#core.realloc(ptr, size) >>> 0;
  }

  /** realloc to `count * size` bytes; 0 also when the product is too large. */
  reallocn(ptr: number, count: number, size: number): number {
    this.#checkBlock("reallocn", ptr);
    checkSize(count, "count");
    checkSize(size, "size");
    return this.#core.reallocn(ptr, count, size) >>> 0;
  }

  /** realloc that frees ptr when it fails. */
  reallocf(ptr: number, size: number): number {
    this.#checkBlock("reallocf", ptr);
    checkSize(size, "size");
    return this.#core.reallocf(ptr, size) >>> 0;
  }

  /** realloc that clears what grows; for blocks that were allocated zero. */
  rezalloc(ptr: number, size: number): number {
    this.#checkBlock("rezalloc", ptr);
    checkSize(size, "size");
    return this.#core.rezalloc(ptr, size) >>> 0;
  }

  /** rezalloc to `count * size` bytes; 0 also when the product is too large. */
  recalloc(ptr: number, count: number, size: number): number {
    this.#checkBlock("recalloc", ptr);
    checkSize(count, "count");
    checkSize(size, "size");
    return this.#core.recalloc(ptr, count, size) >>> 0;
  }

  /** ptr if its block holds `size` bytes as it is, else 0. Never moves. */
  expand(ptr: number, size: number): number {
    this.#checkBlock("expand", ptr);
    checkSize(size, "size");
    return this.#core.expand(ptr, size) >>> 0;
  }

  /**
   * Frees a block; null is ignored.
   *
   * @throws HeapError when ptr is no block of this heap or points into one.
   */
  free(ptr: number): void {
    checkPointer(ptr);
    const what = this.#core.freeChecked(ptr);
    if (what !== 0) throw pointerError("free", what, ptr);
  }

  /** A block whose address is a multiple of `alignment`, a power of two. */
  memalign(alignment: number, size: number): number {
    checkAlignment(alignment);
    checkSize(size, "size");
    return this.#core.memalign(alignment, size) >>> 0;
  }

  /** memalign under the name of C11; `size` need not be a multiple of `alignment`. */
  alignedAlloc(alignment: number, size: number): number {
    return this.memalign(alignment, size);
  }

  /** A block p with (p + offset) a multiple of `alignment`, which is at most 1 MiB then. */
  memalignAt(alignment: number, size: number, offset: number): number {
    checkAlignment(alignment);
    checkSize(size, "size");
    checkSize(offset, "offset");
    return this.#core.memalignAt(alignment, size, offset) >>> 0;
  }

  /** realloc that keeps ptr's remainder modulo `alignment`, as mimalloc does it. */
  reallocAligned(ptr: number, size: number, alignment: number): number {
    this.#checkBlock("reallocAligned", ptr);
    checkSize(size, "size");
    checkAlignment(alignment);
    return this.#core.reallocAligned(ptr, size, alignment) >>> 0;
  }

  /** Bytes that the block at ptr can hold; 0 for null. */
  usableSize(ptr: number): number {
    this.#checkBlock("usableSize", ptr);
    return ptr === 0 ? 0 : this.#core.usableSize(ptr) >>> 0;
  }

  /** What usableSize of a fresh block for `size` bytes will be. */
  goodSize(size: number): number {
    checkSize(size, "size");
    return this.#core.goodSize(size) >>> 0;
  }

  /** Whether an address lies in a block, live or free, of this heap. */
  contains(ptr: number): boolean {
    checkPointer(ptr);
    return !!this.#core.contains(ptr);
  }

  /**
   * C++'s operator new: asks the new-handler and tries again while memory is out.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY when there is no handler (any more).
   */
  new(size: number): number {
    const ptr = this.newNothrow(size);
    if (ptr === 0) throw outOfMemory("new", size);
    return ptr;
  }

  /** new that answers 0 instead of throwing. Sizes that are too large count as out of memory. */
  newNothrow(size: number): number {
    if (typeof size !== "number" || size >>> 0 !== size) sizeRefuse("size", size);
    for (;;) {
      const ptr = this.#core.malloc(size) >>> 0;
      if (ptr !== 0) return ptr;
      if (!this.#newHandler) break;
      this.#newHandler();
    }
    this.#onError(12, size);
    return 0;
  }

  /** What `new` calls when memory is out: it frees something, removes itself, or throws. */
  setNewHandler(handler: (() => void) | undefined): void {
    this.#newHandler = handler;
  }

  /** Gives every page without live blocks back to the heap's free slices. */
  collect(): void {
    this.#core.heapCollect(false);
  }

  /** The bytes, as they are now; ask again after anything that may allocate. */
  get buffer(): ArrayBufferLike {
    return this.source.buffer;
  }

  /** The memory for a wasm module's imports; undefined over an ArrayBuffer. */
  get memory(): WebAssembly.Memory | undefined {
    return this.source.memory;
  }

  get i8(): Int8Array {
    return this.#views.of("i8");
  }
  get u8(): Uint8Array {
    return this.#views.of("u8");
  }
  get u8c(): Uint8ClampedArray {
    return this.#views.of("u8c");
  }
  get i16(): Int16Array {
    return this.#views.of("i16");
  }
  get u16(): Uint16Array {
    return this.#views.of("u16");
  }
  get i32(): Int32Array {
    return this.#views.of("i32");
  }
  get u32(): Uint32Array {
    return this.#views.of("u32");
  }
  get f32(): Float32Array {
    return this.#views.of("f32");
  }
  get f64(): Float64Array {
    return this.#views.of("f64");
  }
  get i64(): BigInt64Array {
    return this.#views.of("i64");
  }
  get u64(): BigUint64Array {
    return this.#views.of("u64");
  }

  /** `length` elements at ptr as a view that stays right after growth. */
  view<T extends TypedArray>(
    type: TypedArrayConstructor<T>,
    ptr: number,
    length: number,
  ): HeapView<T> {
    checkPointer(ptr);
    checkSize(length, "length");
    return new HeapView(this, type, ptr, length);
  }

  /**
   * A new block of `length` zero elements as a view.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY.
   */
  allocArray<T extends TypedArray>(type: TypedArrayConstructor<T>, length: number): HeapView<T> {
    checkSize(length, "length");
    const bytes = length * type.BYTES_PER_ELEMENT;
    checkSize(bytes, "size");
    const ptr = this.zalloc(bytes);
    if (ptr === 0) throw outOfMemory("allocArray", bytes);
    return new HeapView(this, type, ptr, length);
  }

  /**
   * Text as a new block of UTF-8, with a NUL behind it if `terminate`. The view's length counts
   * the bytes of the text, not the NUL.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY.
   */
  allocString(text: string, options: { terminate?: boolean } = {}): HeapView<Uint8Array> {
    if (typeof text !== "string") throw new TypeError(`text must be a string, not ${typeof text}`);
    const bytes = new TextEncoder().encode(text);
    const ptr = this.malloc(bytes.length + (options.terminate ? 1 : 0));
    if (ptr === 0) throw outOfMemory("allocString", bytes.length);
    if (options.terminate) this.u8[ptr + bytes.length] = 0;
    return new HeapView(
      this,
      Uint8Array as TypedArrayConstructor<Uint8Array>,
      ptr,
      bytes.length,
    ).set(bytes);
  }

  /** The UTF-8 text of `length` bytes at ptr, or up to a NUL when no length is given. */
  readString(ptr: number, length?: number): string {
    checkPointer(ptr);
    if (length !== undefined) checkSize(length, "length");
    const end = length === undefined ? this.u8.indexOf(0, ptr) : ptr + length;
    const bytes = this.u8.slice(ptr, end < 0 ? undefined : end);
    return new TextDecoder().decode(bytes);
  }

  /** Figures as they are now; costs a walk over the pages. */
  stats(): HeapStats {
    this.#core.goodSize(0); // throws if the heap is destroyed
    return statsRead(this.u32, this.source.start);
  }

  /**
   * Calls `visit` with address and usable size of every live block, in address order; false from it
   * stops. It may free the block it was given. Answers whether the walk came to its end.
   */
  visitBlocks(visit: BlockVisitor): boolean {
    this.#core.goodSize(0);
    return blocksVisit(this.u32, this.source.start, visit);
  }

  /** Ends the heap: later calls throw. A memory of its own can be collected then. */
  destroy(): void {
    this.end(heapDestroyed);
  }

  /** Every later call throws. */
  protected end(error: () => HeapError): void {
    this.#core = coreEnded(error);
    this.#views.reset();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  #checkBlock(call: string, ptr: number): void {
    checkPointer(ptr);
    if (ptr === 0) return;
    const what = this.#core.pointerCheck(ptr);
    if (what !== 0) throw pointerError(call, what, ptr);
  }
}

function pointerError(call: string, what: number, ptr: number): Error {
  return what === PTR_FOREIGN ? foreignPointer(call, ptr) : interiorPointer(call, ptr);
}

function checkSize(size: number, what: string): void {
  if (typeof size !== "number" || size >>> 0 !== size || size > SIZE_LIMIT) sizeRefuse(what, size);
}

function checkPointer(ptr: number): void {
  if (typeof ptr !== "number" || ptr >>> 0 !== ptr) pointerRefuse(ptr);
}

function checkAlignment(alignment: number): void {
  const good = typeof alignment === "number" && alignment >>> 0 === alignment;
  if (!good || alignment === 0 || alignment > 2 ** 30 || (alignment & (alignment - 1)) !== 0) {
    alignmentRefuse(alignment);
  }
}

/** Stands in for the core of a heap that has ended, so that no live call pays for the question. */
function coreEnded(error: () => HeapError): CoreExports {
  return new Proxy({} as CoreExports, {
    get: () => () => {
      throw error();
    },
  });
}
