/** The checked API of the allocator in linear memory, with views and C's names. */

import { checkPointer, checkSize, pointerError } from "../../common/checks.ts";
import {
  type HeapView,
  MemoryViews,
  type TypedArray,
  type TypedArrayConstructor,
  viewOf,
} from "../../common/views.ts";
import type { BackEnd } from "../../heap/calls/contract.ts";
import type { MemorySource } from "../../memory/index.ts";
import { C_TOP, PTR_GOOD } from "../core/layout.ts";
import { type AllocatorParts, SizeClassAllocator } from "./allocator.ts";

/**
 * C's allocation functions, unchecked. Sizes and pointers are 32 bits; in a wasm build, pointers
 * from 2^31 on are negative numbers.
 */
export interface SizeClassAbi extends WebAssembly.ModuleImports {
  /** Returns a block of at least `size` bytes, aligned to 16; 0 where memory is out. */
  malloc(size: number): number;
  /** Returns a block of `count * size` zero bytes; 0 also where the product needs more bits. */
  calloc(count: number, size: number): number;
  /** Resizes a block; a null pointer allocates. Returns 0 where memory is out. */
  realloc(ptr: number, size: number): number;
  /** Frees a block; null is ignored. What is not a block damages the allocator. */
  free(ptr: number): void;
  /** Returns a block at a multiple of `alignment`, which must be a power of two. */
  memalign(alignment: number, size: number): number;
  /** The same as memalign. */
  aligned_alloc(alignment: number, size: number): number;
  /** Returns the bytes that the block at ptr can hold; 0 for null. */
  malloc_usable_size(ptr: number): number;
}

/** The JavaScript core takes unsigned numbers, and WebAssembly passes signed ones. */
function unsigned<F extends (...values: number[]) => unknown>(call: F): F {
  return ((a = 0, b = 0) => call(a >>> 0, b >>> 0)) as F;
}

/**
 * The size-class allocator in linear memory: for one thread, or one thread's part where threads
 * share the memory. It can take the place of a heap: under layers, regions and `debug`.
 *
 * @example
 * using heap = createSizeClassHeap();
 * const ptr = heap.malloc(100);
 * heap.u8[ptr] = 1;
 * heap.free(ptr);
 */
export class SizeClassHeap extends SizeClassAllocator {
  /** The memory that all blocks lie in. */
  readonly source: MemorySource;
  readonly #backend: BackEnd;
  readonly #views: MemoryViews;

  /** Use createSizeClassHeap. */
  constructor(parts: AllocatorParts & { source: MemorySource; backend: BackEnd }) {
    super(parts);
    this.source = parts.source;
    this.#backend = parts.backend;
    this.#views = new MemoryViews(this);
    if (parts.source.capabilities.shared) this.#views.share(parts.geometry.control + C_TOP);
  }

  // malloc and free are those of the base class, but the engine sees that addresses are 32 bits.
  /**
   * Allocates a block of at least `size` bytes, aligned to 16. Returns its address, or 0 where
   * memory is out.
   *
   * @throws TypeError or RangeError unless size is a whole number from 0 to 2^31 - 1.
   */
  override malloc(size: number): number {
    checkSize(size, "size");
    return this.core.malloc(size) >>> 0;
  }

  /**
   * Frees a block; null is ignored.
   *
   * @throws HeapError when ptr is not a block, or points into one. A chunk that is free already is
   * found later, when its region is released: as SizeClassError ERR_DOUBLE_FREE.
   */
  override free(ptr: number): void {
    checkPointer(ptr);
    const found = this.core.freeChecked(ptr);
    if (found !== PTR_GOOD) throw pointerError("free", found, ptr);
  }

  /** The buffer of the memory as it is now: read it again after any call that may allocate. */
  get buffer(): ArrayBufferLike {
    return this.source.buffer;
  }

  /** The memory for the imports of a wasm module; undefined over an ArrayBuffer. */
  get memory(): WebAssembly.Memory | undefined {
    return this.source.memory;
  }

  /** The memory as bytes: element i is address i. Read it again after a call that may allocate. */
  get u8(): Uint8Array {
    return this.#views.of("u8");
  }

  /** The memory as signed 32-bit words: element i is address 4 * i. */
  get i32(): Int32Array {
    return this.#views.of("i32");
  }

  /** The memory as unsigned 32-bit words: element i is address 4 * i. */
  get u32(): Uint32Array {
    return this.#views.of("u32");
  }

  /** The memory as 64-bit floating-point numbers: element i is address 8 * i. */
  get f64(): Float64Array {
    return this.#views.of("f64");
  }

  /**
   * A view of `length` elements at ptr that stays valid when the memory grows.
   *
   * @throws RangeError unless ptr is a multiple of the element's size and the memory holds them
   * all.
   */
  view<T extends TypedArray>(
    type: TypedArrayConstructor<T>,
    ptr: number,
    length: number,
  ): HeapView<T> {
    return viewOf(this, type, ptr, length);
  }

  /**
   * C's allocation functions for the import object of a wasm module, unchecked: the exports of the
   * wasm build itself, so that wasm calls wasm.
   */
  get abi(): SizeClassAbi {
    const { malloc, calloc, realloc, free, memalign, usableSize } = this.core;
    const of: typeof unsigned = this.#backend === "js" ? unsigned : (call) => call;
    return {
      malloc: of(malloc),
      calloc: of(calloc),
      realloc: of(realloc),
      free: of(free),
      memalign: of(memalign),
      aligned_alloc: of(memalign),
      malloc_usable_size: of(usableSize),
    };
  }

  /** @internal The memory has grown. */
  viewsReset(): void {
    this.#views.reset();
  }

  protected override address(p: number): number {
    return p >>> 0;
  }

  protected override checkAddress(ptr: number): void {
    checkPointer(ptr);
  }
}
