/** The typed door of the debug allocator: arguments are checked, views and strings as on a heap. */

import { checkAlignment, checkPointer, checkSize } from "../checks.ts";
import { outOfMemory, SIZE_LIMIT } from "../errors.ts";
import { wasmMemory } from "../memory/index.ts";
import { HeapView, MemoryViews, type TypedArray, type TypedArrayConstructor } from "../views.ts";
import { abiOf, type DebugAbi } from "./abi.ts";
import { type AllocatorLike, type Backing, type BackingAllocator, backingOf } from "./backing.ts";
import { Calls, type Held } from "./calls.ts";
import { type DebugOptions, type Settings, settingsOf } from "./options.ts";
import type { Cells } from "./table.ts";

/** Figures of a debug allocator, as they are now. */
export interface DebugStats {
  /** Live blocks. */
  blocks: number;
  /** Bytes that live blocks were asked for with. */
  requestedBytes: number;
  /** Bytes taken from the backing allocator: for blocks, zones, free slots and quarantine. */
  residentBytes: number;
  /** Bytes of JavaScript that know about blocks and stacks; objects by estimate. */
  overheadBytes: number;
}

/**
 * An allocator that watches every block: who allocated it, who freed it, what was written around it
 * and after it. For one thread. Pointers are those of the backing allocator's memory, aligned to
 * 16; `usableSize` is what was asked for, so slack cannot be used by mistake.
 *
 * Algorithm: Zig's debug allocator (Andrew Kelley), with red zones and quarantine as in
 * AddressSanitizer (Serebryany et al., USENIX ATC 2012) and sampling as in GWP-ASan.
 *
 * @example
 * const heap = debug(createHeap());
 * heap.malloc(100);
 * heap.deinit(); // "leak", and on stderr where the 100 bytes were allocated
 */
export class DebugAllocator implements AllocatorLike, Disposable {
  /** C's allocation functions for the import object of a wasm module. */
  readonly abi: DebugAbi;
  readonly #calls: Calls;
  /** For blocks that are not guarded: who serves them, and how to tell them. */
  readonly #plain: AllocatorLike;
  readonly #cells: Cells | undefined;
  readonly #views: MemoryViews;
  #viewed: Uint8Array | undefined;
  readonly #handles: FinalizationRegistry<Held>;

  /** Use debug. */
  constructor(backing: Backing, settings: Settings) {
    this.#calls = new Calls(backing, settings, debug);
    this.#plain = backing.plain;
    this.#cells = settings.sampleEvery > 1 ? this.#calls.blocks.table.cells : undefined;
    this.abi = abiOf(this.#calls);
    this.#views = new MemoryViews(this);
    this.#handles = new FinalizationRegistry((held) => this.#calls.forgotten(held));
  }

  /** A block of `size` bytes, aligned to 16 and filled with 0xaa; 0 = out of memory. */
  malloc(size: number): number {
    const calls = this.#calls;
    if (calls.skip > 0) {
      calls.skip--;
      return this.#plain.malloc(size);
    }
    checkSize(size, "size");
    return calls.allocate("malloc", this.malloc, 16, size);
  }

  /** A block of `count * size` zero bytes; 0 also when the product is too large. */
  calloc(count: number, size: number): number {
    checkSize(count, "count");
    checkSize(size, "size");
    const bytes = count * size;
    return bytes > SIZE_LIMIT ? 0 : this.#calls.malloc("calloc", this.calloc, bytes, true);
  }

  /** A block of `size` zero bytes. */
  zalloc(size: number): number {
    checkSize(size, "size");
    return this.#calls.malloc("zalloc", this.zalloc, size, true);
  }

  /** A block whose address is a multiple of `alignment`, a power of two. */
  memalign(alignment: number, size: number): number {
    checkAlignment(alignment);
    checkSize(size, "size");
    return this.#calls.memalign("memalign", this.memalign, alignment, size);
  }

  /** memalign under the name of C11; `size` need not be a multiple of `alignment`. */
  alignedAlloc(alignment: number, size: number): number {
    checkAlignment(alignment);
    checkSize(size, "size");
    return this.#calls.memalign("alignedAlloc", this.alignedAlloc, alignment, size);
  }

  /**
   * Resizes a block, moving it if need be; contents up to the smaller size and the alignment stay.
   * A null pointer allocates. 0 = out of memory, or a reported mistake; then ptr is as it was.
   */
  realloc(ptr: number, size: number): number {
    checkPointer(ptr);
    checkSize(size, "size");
    return this.#calls.resize("realloc", this.realloc, ptr, size);
  }

  /** realloc that says which size, and which alignment, the block was asked for with. */
  reallocSized(ptr: number, oldSize: number, size: number, alignment?: number): number {
    checkPointer(ptr);
    checkSize(oldSize, "oldSize");
    checkSize(size, "size");
    const given = givenOf(oldSize, alignment);
    return this.#calls.resize("reallocSized", this.reallocSized, ptr, size, given);
  }

  /** Frees a block; null is ignored. */
  free(ptr: number): void {
    if (this.#cells?.isPlain(ptr)) {
      this.#plain.free(ptr);
      return;
    }
    checkPointer(ptr);
    this.#calls.free("free", this.free, ptr);
  }

  /** free that says which size, and which alignment, the block was asked for with. */
  freeSized(ptr: number, size: number, alignment?: number): void {
    checkPointer(ptr);
    checkSize(size, "size");
    this.#calls.free("freeSized", this.freeSized, ptr, givenOf(size, alignment));
  }

  /** Bytes that the block at ptr was asked for with; 0 for null. */
  usableSize(ptr: number): number {
    checkPointer(ptr);
    return this.#calls.usable("usableSize", this.usableSize, ptr);
  }

  /** What usableSize of a block for `size` bytes will be: no more than that. */
  goodSize(size: number): number {
    checkSize(size, "size");
    return size;
  }

  /** Whether an address lies in a block, live or free, of this allocator. */
  contains(ptr: number): boolean {
    checkPointer(ptr);
    return this.#calls.contains(ptr);
  }

  /** Looks at all zones and all poison, and reports what was written where nobody may write. */
  check(): void {
    this.#calls.inspect("check", this.check, false);
  }

  /** check, and a report of all live blocks as leaks. Answers how many there are. */
  detectLeaks(): number {
    return this.#calls.inspect("detectLeaks", this.detectLeaks, true);
  }

  /**
   * detectLeaks; then everything goes back to the backing allocator, leaked blocks too. The
   * allocator is as new.
   */
  deinit(): "ok" | "leak" {
    return this.#calls.deinit(this.deinit) === 0 ? "ok" : "leak";
  }

  [Symbol.dispose](): void {
    this.#calls.deinit(this[Symbol.dispose]);
  }

  /** Forgets what retainMetadata has kept of memory that was given back. */
  flushRetainedMetadata(): void {
    this.#calls.blocks.retired.pastFlush();
  }

  /** Changes requestedMemoryLimit. What is live stays, also if it is more. */
  setRequestedMemoryLimit(bytes: number): void {
    settingsOf({ requestedMemoryLimit: bytes }, 4096);
    this.#calls.blocks.limit = bytes;
  }

  /** Figures as they are now; costs a walk over the pages. When sampling, of guarded blocks. */
  stats(): DebugStats {
    const { blocks, stacks } = this.#calls;
    return {
      blocks: blocks.live,
      requestedBytes: blocks.requested,
      residentBytes: blocks.resident,
      overheadBytes: blocks.overhead + stacks.bytes,
    };
  }

  /** Calls `visit` with address and size of every live block; false from it stops. */
  visitBlocks(visit: (ptr: number, size: number) => boolean | undefined | void): boolean {
    const live = [...this.#calls.blocks.table.blocks()].filter((block) => block.live);
    return live.every(({ ptr, size }) => visit(ptr, size) !== false);
  }

  /** The bytes, as they are now; ask again after anything that may allocate. */
  get buffer(): ArrayBufferLike {
    return this.u8.buffer;
  }

  /** The memory for a wasm module's imports; undefined where there is none below. */
  get memory(): WebAssembly.Memory | undefined {
    return this.#plain.memory;
  }

  get u8(): Uint8Array {
    return this.#plain.u8;
  }
  get u32(): Uint32Array {
    return this.#plain.u32;
  }
  get i8(): Int8Array {
    return this.#current().of("i8");
  }
  get u8c(): Uint8ClampedArray {
    return this.#current().of("u8c");
  }
  get i16(): Int16Array {
    return this.#current().of("i16");
  }
  get u16(): Uint16Array {
    return this.#current().of("u16");
  }
  get i32(): Int32Array {
    return this.#current().of("i32");
  }
  get f32(): Float32Array {
    return this.#current().of("f32");
  }
  get f64(): Float64Array {
    return this.#current().of("f64");
  }
  get i64(): BigInt64Array {
    return this.#current().of("i64");
  }
  get u64(): BigUint64Array {
    return this.#current().of("u64");
  }

  /** `length` elements at ptr as a view that stays right after growth, and owns nothing. */
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
   * A new block of `length` zero elements as a view, which is reported as a forgotten handle if the
   * garbage collector takes it before the block was freed.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY.
   */
  allocArray<T extends TypedArray>(type: TypedArrayConstructor<T>, length: number): HeapView<T> {
    checkSize(length, "length");
    const bytes = length * type.BYTES_PER_ELEMENT;
    checkSize(bytes, "size");
    const ptr = this.#calls.malloc("allocArray", this.allocArray, bytes, true);
    if (ptr === 0) throw outOfMemory("allocArray", bytes);
    return this.track(new HeapView(this, type, ptr, length), ptr);
  }

  /**
   * Text as a new block of UTF-8, with a NUL behind it if `terminate`; reported as allocArray's.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY.
   */
  allocString(text: string, options: { terminate?: boolean } = {}): HeapView<Uint8Array> {
    if (typeof text !== "string") throw new TypeError(`text must be a string, not ${typeof text}`);
    const bytes = new TextEncoder().encode(text);
    const size = bytes.length + (options.terminate ? 1 : 0);
    const ptr = this.#calls.malloc("allocString", this.allocString, size);
    if (ptr === 0) throw outOfMemory("allocString", bytes.length);
    if (options.terminate) this.u8[ptr + bytes.length] = 0;
    const type = Uint8Array as TypedArrayConstructor<Uint8Array>;
    return this.track(new HeapView(this, type, ptr, bytes.length).set(bytes), ptr);
  }

  /** The UTF-8 text of `length` bytes at ptr, or up to a NUL when no length is given. */
  readString(ptr: number, length?: number): string {
    checkPointer(ptr);
    if (length !== undefined) checkSize(length, "length");
    const end = length === undefined ? this.u8.indexOf(0, ptr) : ptr + length;
    return new TextDecoder().decode(this.u8.slice(ptr, end < 0 ? undefined : end));
  }

  /**
   * Makes `handle` the owner of the block at ptr: if the garbage collector takes it while the block
   * is live, that is reported with the stack of the allocation. Blocks that a sampling allocator
   * does not guard are not watched. Answers the handle.
   */
  track<T extends object>(handle: T, ptr: number): T {
    checkPointer(ptr);
    const block = this.#calls.blocks.table.at(ptr);
    if (block?.live && block.ptr === ptr) {
      this.#handles.register(handle, { ptr, order: block.order });
    } else {
      this.#calls.usable("track", this.track, ptr); // says what is wrong with the pointer
    }
    return handle;
  }

  #current(): MemoryViews {
    const { u8 } = this;
    if (this.#viewed !== u8) this.#views.reset();
    this.#viewed = u8;
    return this.#views;
  }
}

function givenOf(size: number, alignment: number | undefined) {
  if (alignment === undefined) return { size };
  checkAlignment(alignment);
  return { size, alignment };
}

/** Memory serves in slices of 64 KiB; smaller pages would waste the rest of one. */
const PAGE = 16384;
const MEMORY_PAGE = 65536;

/**
 * A debug allocator over an allocator, a pool of layers, or memory; over a new memory if nothing
 * is given.
 *
 * @throws TypeError or RangeError for unknown options and values out of range.
 * @example
 * const heap = debug(createHeap(), { onReport: "throw" });
 */
export function debug(allocator?: BackingAllocator, options: DebugOptions = {}): DebugAllocator {
  if (allocator !== undefined && options?.backingAllocator !== undefined) {
    throw new TypeError("backingAllocator is given twice: as an argument and as an option");
  }
  const backing = backingOf(allocator ?? options?.backingAllocator ?? wasmMemory());
  const settings = settingsOf(options, backing.kind === "memory" ? MEMORY_PAGE : PAGE);
  return new DebugAllocator(backing, settings);
}
