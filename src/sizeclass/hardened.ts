/** The hardened malloc: blocks with checked headers and a quarantine, over the size classes. */
import { checkAlignment, checkPointer, checkSize } from "../checks.ts";
import { SIZE_LIMIT } from "../errors.ts";
import type { SizeClassHeap } from "./allocator.ts";
import { ALLOCATED, AVAILABLE, HEADER_BYTES, type Header, Headers, QUARANTINED } from "./chunk.ts";
import { LIST_BYTES, Quarantine, type QuarantineStats } from "./quarantine.ts";
import {
  type Action,
  alignmentOfAlignedAlloc,
  alignmentOfPosixMemalign,
  callocOverflow,
  corruptedHeader,
  type HardenedError,
  invalidState,
  misalignedPointer,
  type Origin,
  outOfMemoryFor,
  sizeMismatch,
  sizeTooBig,
  typeMismatch,
} from "./reports.ts";
import { SharedSizeClassHeap, type SizeClassHandle } from "./shared.ts";

/** Scudo's flags, in our spelling; the rest is `sizeClass`'s. */
export interface HardenedFlags {
  /** KiB of freed blocks that all threads together keep from reuse. Default: 0, none. */
  quarantineSizeKb?: number | undefined;
  /** KiB of them that a thread keeps for itself before it passes them on. Default: 0. */
  threadLocalQuarantineSizeKb?: number | undefined;
  /** Larger blocks go back at once. Default: 0, no limit. */
  quarantineMaxChunkSize?: number | undefined;
  /** Whether free, delete and delete[] must match malloc, new and new[]. Default: true. */
  deallocTypeMismatch?: boolean | undefined;
  /** Whether a sized delete must name the size of its new. Default: true. */
  deleteSizeMismatch?: boolean | undefined;
  /** Fills blocks with zeros when they are allocated. Default: false. */
  zeroContents?: boolean | undefined;
  /** Fills blocks with 0xab when they are allocated. Default: false. */
  patternFillContents?: boolean | undefined;
  /** Whether requests that fail answer 0, or throw. Default: true. */
  mayReturnNull?: boolean | undefined;
}

/** What a thread that attaches needs: the heap's handle, and what is only the hardened malloc's. */
export interface HardenedHandle {
  readonly heap: SizeClassHandle;
  readonly flags: HardenedFlags;
  readonly cookie: number;
  readonly list: number;
}

const MALLOC = 0;
const NEW = 1;
const NEW_ARRAY = 2;
const MEMALIGN = 3;
const PATTERN = 0xab;
/** Largest size of a request: header and alignment must fit PTRDIFF_MAX. */
const SIZE_MOST = SIZE_LIMIT - 65536;

export interface HardenedParts {
  readonly heap: SizeClassHeap;
  readonly flags: HardenedFlags;
  readonly cookie: number;
  /** Address of the quarantine's list. */
  readonly list: number;
}

/**
 * C's and C++'s allocation functions, each block with a checksummed header that says whether it is
 * allocated and by whom, over regions that are shuffled from a random seed. Mistakes throw a
 * HardenedError with Scudo's text, and the block stays as it was.
 *
 * A block takes 16 bytes for its header. `usableSize` is what was asked for.
 *
 * Algorithm: Scudo (Kortchinsky and others, LLVM).
 *
 * @example
 * const heap = hardenedMalloc({ quarantineSizeKb: 256 });
 * const ptr = heap.malloc(100);
 * heap.free(ptr);
 * heap.free(ptr); // throws: invalid chunk state when deallocating address …
 */
export class HardenedMalloc {
  /** The size classes below. */
  readonly heap: SizeClassHeap;
  readonly #parts: HardenedParts;
  readonly #headers: Headers;
  readonly #quarantine: Quarantine;

  /** Use hardenedMalloc or attachHardenedMalloc. */
  constructor(parts: HardenedParts) {
    const { heap, flags, cookie, list } = parts;
    this.heap = heap;
    this.#parts = parts;
    const words = () => heap.u32;
    this.#headers = new Headers(words, cookie);
    this.#quarantine = new Quarantine({
      words,
      list,
      bytes: (flags.quarantineSizeKb ?? 0) * 1024,
      threadBytes: (flags.threadLocalQuarantineSizeKb ?? 0) * 1024,
      ticket: heap instanceof SharedSizeClassHeap ? heap.threadId : 1,
      recycle: (ptr) => this.#recycle(ptr),
    });
  }

  /** A block of `size` bytes, aligned to 16; 0 = out of memory, if `mayReturnNull`. */
  malloc(size: number): number {
    checkSize(size, "size");
    return this.#allocate(size, 16, MALLOC, false);
  }

  /** A block of `count * size` zero bytes. */
  calloc(count: number, size: number): number {
    checkSize(count, "count");
    checkSize(size, "size");
    if (count * size > 0xffffffff) return this.#refuse(callocOverflow(count, size));
    return this.#allocate(count * size, 16, MALLOC, true);
  }

  /** A block whose address is a multiple of `alignment`, a power of two. */
  memalign(alignment: number, size: number): number {
    checkAlignment(alignment);
    checkSize(size, "size");
    return this.#allocate(size, Math.max(alignment, 16), MEMALIGN, false);
  }

  /** C11's aligned_alloc: `size` must be a multiple of `alignment`. */
  alignedAlloc(alignment: number, size: number): number {
    checkSize(alignment, "alignment");
    checkSize(size, "size");
    if (!isPower(alignment) || size % alignment !== 0) {
      return this.#refuse(alignmentOfAlignedAlloc(alignment, size));
    }
    return this.memalign(alignment, size);
  }

  /** The block of posix_memalign; 0 also for an alignment that is none, if `mayReturnNull`. */
  posixMemalign(alignment: number, size: number): number {
    checkSize(alignment, "alignment");
    checkSize(size, "size");
    if (!isPower(alignment) || alignment % 4 !== 0) {
      return this.#refuse(alignmentOfPosixMemalign(alignment));
    }
    return this.memalign(alignment, size);
  }

  /** operator new, and operator new[] if `array`. */
  operatorNew(size: number, array = false): number {
    checkSize(size, "size");
    return this.#allocate(size, 16, array ? NEW_ARRAY : NEW, false);
  }

  /** operator delete; null is ignored. `size` is that of a sized delete. */
  operatorDelete(ptr: number, size?: number): void {
    this.#deallocate(ptr, NEW, size);
  }

  /** operator delete[]. */
  operatorDeleteArray(ptr: number, size?: number): void {
    this.#deallocate(ptr, NEW_ARRAY, size);
  }

  /** Frees a block of malloc or memalign; null is ignored. */
  free(ptr: number): void {
    this.#deallocate(ptr, MALLOC, undefined);
  }

  /**
   * Resizes a block, in place if its class still holds it; a null pointer allocates, and size 0
   * answers a minimal block. 0 = out of memory, and ptr is as it was.
   */
  realloc(ptr: number, size: number): number {
    checkPointer(ptr);
    checkSize(size, "size");
    if (ptr === 0) return this.#allocate(size, 16, MALLOC, false);
    const header = this.#live("reallocating", ptr);
    if (header.origin === NEW || header.origin === NEW_ARRAY) {
      this.#mismatch("reallocating", ptr, header.origin, MALLOC);
    }
    const begin = ptr - header.offset;
    if (size <= SIZE_MOST && this.#fits(begin, header.offset + size)) {
      this.#headers.write(ptr, header.origin, size, header.offset);
      return ptr;
    }
    const to = this.#allocate(size, 16, MALLOC, false);
    if (to === 0) return 0;
    this.heap.u8.copyWithin(to, ptr, ptr + Math.min(size, header.size));
    this.#retire(ptr, header);
    return to;
  }

  /** Bytes that the block at ptr was asked for with; 0 for null. */
  usableSize(ptr: number): number {
    checkPointer(ptr);
    return ptr === 0 ? 0 : this.#live("sizing", ptr).size;
  }

  /** Whether ptr is a block in use of this allocator. Never throws for a number. */
  isOwned(ptr: number): boolean {
    checkPointer(ptr);
    try {
      return ptr !== 0 && this.#live("sizing", ptr).state === ALLOCATED;
    } catch {
      return false;
    }
  }

  /** Recycles the quarantine, and gives the thread's cache back to the regions. */
  drain(): void {
    this.#quarantine.drain();
    this.heap.drain();
  }

  quarantineStats(): QuarantineStats {
    return this.#quarantine.stats();
  }

  get u8(): Uint8Array {
    return this.heap.u8;
  }
  get u32(): Uint32Array {
    return this.heap.u32;
  }
  get buffer(): ArrayBufferLike {
    return this.heap.buffer;
  }
  get memory(): WebAssembly.Memory | undefined {
    return this.heap.memory;
  }

  /** What another thread needs for attachHardenedMalloc. */
  handle(): HardenedHandle {
    const { flags, cookie, list } = this.#parts;
    return { heap: this.#shared().handle(), flags, cookie, list };
  }

  /** Ends this thread's part: what it keeps in quarantine goes to the other threads. */
  detach(): void {
    this.#quarantine.leave();
    this.#shared().detach();
  }

  /** Gives back what a thread had that does not run any more: see SharedSizeClassHeap. */
  recover(threadId: number): boolean {
    this.#quarantine.recover(threadId);
    return this.#shared().recover(threadId);
  }

  /** Ends the allocator: later calls throw. */
  destroy(): void {
    this.heap.destroy();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  #shared(): SharedSizeClassHeap {
    if (this.heap instanceof SharedSizeClassHeap) return this.heap;
    throw new TypeError("threads need shared: true");
  }

  #allocate(size: number, alignment: number, origin: Origin, zeroed: boolean): number {
    const total = size + HEADER_BYTES + (alignment > 16 ? alignment : 0);
    if (total > SIZE_LIMIT) return this.#refuse(sizeTooBig(size, total, SIZE_MOST));
    const begin = this.heap.malloc(total);
    if (begin === 0) return this.#refuse(outOfMemoryFor(size));
    const ptr = Math.ceil((begin + HEADER_BYTES) / alignment) * alignment;
    const { zeroContents, patternFillContents } = this.#parts.flags;
    if (zeroed || zeroContents) this.heap.u8.fill(0, ptr, ptr + size);
    else if (patternFillContents) this.heap.u8.fill(PATTERN, ptr, ptr + size);
    this.#headers.write(ptr, origin, size, ptr - begin);
    return ptr;
  }

  #refuse(error: HardenedError): 0 {
    if (this.#parts.flags.mayReturnNull === false) throw error;
    return 0;
  }

  #deallocate(ptr: number, origin: Origin, size: number | undefined): void {
    checkPointer(ptr);
    if (ptr === 0) return;
    const header = this.#live("deallocating", ptr);
    // What memalign gave, free takes.
    const good = header.origin === origin || (header.origin === MEMALIGN && origin === MALLOC);
    if (!good) this.#mismatch("deallocating", ptr, header.origin, origin);
    if (
      size !== undefined &&
      size !== header.size &&
      this.#parts.flags.deleteSizeMismatch !== false
    ) {
      throw sizeMismatch(ptr, size, header.size);
    }
    this.#retire(ptr, header);
  }

  #mismatch(action: Action, ptr: number, has: Origin, given: Origin): void {
    if (this.#parts.flags.deallocTypeMismatch === false) return;
    throw typeMismatch(action, ptr, has, given);
  }

  /** The header of a block that must be in use. */
  #live(action: Action, ptr: number): Header {
    if (ptr % 16 !== 0) throw misalignedPointer(action, ptr);
    const header = this.#headers.read(ptr);
    if (header.state !== ALLOCATED) throw invalidState(action, ptr);
    return header;
  }

  /** Whether a block of so many bytes would lie in the same class, or the same pages. */
  #fits(begin: number, bytes: number): boolean {
    return this.heap.usableSize(begin) === this.heap.goodSize(bytes);
  }

  /** To the quarantine, or back to its class. */
  #retire(ptr: number, header: Header): void {
    const { quarantineSizeKb = 0, quarantineMaxChunkSize = 0 } = this.#parts.flags;
    const tooLarge = quarantineMaxChunkSize > 0 && header.size > quarantineMaxChunkSize;
    if (quarantineSizeKb === 0 || tooLarge) {
      this.#headers.turn(ptr, header, AVAILABLE, "deallocating");
      this.heap.free(ptr - header.offset);
    } else {
      this.#headers.turn(ptr, header, QUARANTINED, "deallocating");
      this.#quarantine.put(ptr, header.size);
    }
  }

  #recycle(ptr: number): void {
    const header = this.#headers.read(ptr);
    if (header.state !== QUARANTINED) throw invalidState("recycling", ptr);
    if (header.offset < HEADER_BYTES) throw corruptedHeader(ptr);
    this.#headers.turn(ptr, header, AVAILABLE, "recycling");
    this.heap.free(ptr - header.offset);
  }
}

function isPower(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}

/** Words of the quarantine's list, zero at first. */
export function listMake(heap: SizeClassHeap): number {
  return heap.zalloc(LIST_BYTES);
}
