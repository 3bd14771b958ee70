/**
 * The rest of the family: aligned blocks, POSIX and BSD names, sized frees, strings, C++'s new.
 * Sizes are bytes; alignments are powers of two up to 1 GiB, or 1 MiB together with an offset.
 */

import { checkAlignment, checkPointer, checkSize, pointerError } from "../../common/checks.ts";
import { misfit, outOfMemory, SIZE_LIMIT, sizeRefuse } from "../../common/errors.ts";
import { pathResolve } from "../../common/node-fs.ts";
import { Allocation } from "./allocation.ts";
import { environmentCopy, type WidePlace, wideCopy } from "./wide.ts";

/** What valloc and pvalloc align to. */
export const OS_PAGE = 4096;

export class AllocationFamily extends Allocation {
  /** A block whose address is a multiple of `alignment`, a power of two. */
  memalign(alignment: number, size: number): number {
    checkAlignment(alignment);
    checkSize(size, "size");
    return this.core.memalign(alignment, size) >>> 0;
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
    return this.core.memalignAt(alignment, size, offset) >>> 0;
  }

  /** realloc that keeps ptr's remainder modulo `alignment`, as mimalloc does it. */
  reallocAligned(ptr: number, size: number, alignment: number): number {
    this.checkBlock("reallocAligned", ptr);
    checkSize(size, "size");
    checkAlignment(alignment);
    return this.core.reallocAligned(ptr, size, alignment) >>> 0;
  }

  /** memalign with mimalloc's order of arguments. */
  mallocAligned(size: number, alignment: number): number {
    return this.memalign(alignment, size);
  }

  /** memalignAt with mimalloc's order of arguments. */
  mallocAlignedAt(size: number, alignment: number, offset: number): number {
    return this.memalignAt(alignment, size, offset);
  }

  /** mallocAligned, the whole block zero. */
  zallocAligned(size: number, alignment: number): number {
    return this.zallocAlignedAt(size, alignment, 0);
  }

  /** mallocAlignedAt, the whole block zero. */
  zallocAlignedAt(size: number, alignment: number, offset: number): number {
    checkSize(size, "size");
    checkAlignment(alignment);
    checkSize(offset, "offset");
    return this.core.zallocAlignedAt(size, alignment, offset) >>> 0;
  }

  /** zallocAligned of `count * size` bytes; 0 also when the product is too large. */
  callocAligned(count: number, size: number, alignment: number): number {
    return this.callocAlignedAt(count, size, alignment, 0);
  }

  /** zallocAlignedAt of `count * size` bytes; 0 also when the product is too large. */
  callocAlignedAt(count: number, size: number, alignment: number, offset: number): number {
    const bytes = product(count, size);
    return bytes === undefined ? 0 : this.zallocAlignedAt(bytes, alignment, offset);
  }

  /** realloc that keeps (p + offset) a multiple of `alignment`. */
  reallocAlignedAt(ptr: number, size: number, alignment: number, offset: number): number {
    this.#checkAligned("reallocAlignedAt", ptr, size, alignment, offset);
    return this.core.reallocAlignedAt(ptr, size, alignment, offset) >>> 0;
  }

  /** reallocAligned that clears what grows; for blocks that were allocated zero. */
  rezallocAligned(ptr: number, size: number, alignment: number): number {
    this.#checkAligned("rezallocAligned", ptr, size, alignment, 0);
    const offset = ptr % alignment;
    return this.core.rezallocAlignedAt(ptr, size, alignment, offset) >>> 0;
  }

  /** reallocAlignedAt that clears what grows; for blocks that were allocated zero. */
  rezallocAlignedAt(ptr: number, size: number, alignment: number, offset: number): number {
    this.#checkAligned("rezallocAlignedAt", ptr, size, alignment, offset);
    return this.core.rezallocAlignedAt(ptr, size, alignment, offset) >>> 0;
  }

  /** rezallocAligned to `count * size` bytes; 0 also when the product is too large. */
  recallocAligned(ptr: number, count: number, size: number, alignment: number): number {
    const bytes = product(count, size);
    return bytes === undefined ? 0 : this.rezallocAligned(ptr, bytes, alignment);
  }

  /** rezallocAlignedAt to `count * size` bytes; 0 also when the product is too large. */
  recallocAlignedAt(
    ptr: number,
    count: number,
    size: number,
    alignment: number,
    offset: number,
  ): number {
    const bytes = product(count, size);
    return bytes === undefined ? 0 : this.rezallocAlignedAt(ptr, bytes, alignment, offset);
  }

  /**
   * Stores the address of an aligned block in the word at `out`. Answers 0, or an errno that leaves
   * `out` as it was: 22 = alignment is no power of two from 4 on, or out is null; 12 = no memory.
   */
  posixMemalign(out: number, alignment: number, size: number): number {
    checkPointer(out);
    checkSize(alignment, "alignment");
    checkSize(size, "size");
    return this.core.posix_memalign(out, alignment, size);
  }

  /** A block at a multiple of 4 KiB. */
  valloc(size: number): number {
    return this.memalign(OS_PAGE, size);
  }

  /** valloc of `size` rounded up to 4 KiB; 0 also when that is too large. */
  pvalloc(size: number): number {
    checkSize(size, "size");
    const bytes = Math.ceil(size / OS_PAGE) * OS_PAGE;
    return bytes > SIZE_LIMIT ? 0 : this.memalign(OS_PAGE, bytes);
  }

  /** reallocn under the name of BSD and POSIX. */
  reallocarray(ptr: number, count: number, size: number): number {
    return this.reallocn(ptr, count, size);
  }

  /**
   * reallocarray of the block whose address the word at `at` holds, which then holds the new one.
   * Answers 0, or an errno: 22 = `at` is null; 12 = no memory, and nothing has changed.
   */
  reallocarr(at: number, count: number, size: number): number {
    checkPointer(at);
    checkSize(count, "count");
    checkSize(size, "size");
    return this.core.reallocarr(at, count, size);
  }

  /** usableSize under the name of macOS. */
  mallocSize(ptr: number): number {
    return this.usableSize(ptr);
  }

  /** goodSize under the name of macOS. */
  mallocGoodSize(size: number): number {
    return this.goodSize(size);
  }

  /**
   * free by who knows the size.
   *
   * @throws HeapError ERR_SIZE_MISMATCH when the block cannot have been of that size.
   */
  freeSize(ptr: number, size: number): void {
    this.#checkSized("freeSize", ptr, size, 1);
    this.free(ptr);
  }

  /** freeSize by who also knows the alignment, which is checked too. */
  freeSizeAligned(ptr: number, size: number, alignment: number): void {
    this.#checkSized("freeSizeAligned", ptr, size, alignment);
    this.free(ptr);
  }

  /** free by who knows the alignment. */
  freeAligned(ptr: number, alignment: number): void {
    this.#checkSized("freeAligned", ptr, 0, alignment);
    this.free(ptr);
  }

  /** free that ignores what lies in no block of this heap. */
  cfree(ptr: number): void {
    if (this.contains(ptr)) this.free(ptr);
  }

  /** A copy of the NUL-terminated string at ptr; 0 for null. */
  strdup(ptr: number): number {
    checkPointer(ptr);
    return this.core.strdup(ptr) >>> 0;
  }

  /** A NUL-terminated copy of at most `max` bytes of the string at ptr; 0 for null. */
  strndup(ptr: number, max: number): number {
    checkPointer(ptr);
    checkSize(max, "max");
    return this.core.strndup(ptr, max) >>> 0;
  }

  /** strdup of bytes in any encoding, under Microsoft's name. */
  mbsdup(ptr: number): number {
    return this.strdup(ptr);
  }

  /** A copy of the string of 16-bit characters at ptr; 0 for null. */
  wcsdup(ptr: number): number {
    checkPointer(ptr);
    return wideCopy(this.#place(), ptr, 2);
  }

  /**
   * Stores the address of a copy of a variable of the environment in the word at `out`, and its
   * length in the word at `size` unless that is 0; `name` is NUL-terminated. Null for a variable
   * that is not there. Answers 0, or an errno: 22 = `out` or `name` is null; 12 = no memory.
   */
  dupenvS(out: number, size: number, name: number): number {
    for (const ptr of [out, size, name]) checkPointer(ptr);
    return environmentCopy(this.#place(), [out, size, name], 1);
  }

  /** dupenvS in 16-bit characters; the length counts these. */
  wdupenvS(out: number, size: number, name: number): number {
    for (const ptr of [out, size, name]) checkPointer(ptr);
    return environmentCopy(this.#place(), [out, size, name], 2);
  }

  #place(): WidePlace {
    return { core: this.core, bytes: () => this.host.bytes() };
  }

  /**
   * The path at ptr, NUL-terminated UTF-8, without links and dots: in a new block, or at `into`.
   * 0 for null, for a path at which nothing is, without memory, and where there is no file system:
   * only Node has one.
   */
  realpath(ptr: number, into = 0): number {
    checkPointer(ptr);
    checkPointer(into);
    if (ptr === 0) return 0;
    const bytes = this.host.bytes();
    const path = pathResolve(new TextDecoder().decode(bytes.slice(ptr, bytes.indexOf(0, ptr))));
    if (path === undefined) return 0;
    const text = new TextEncoder().encode(`${path}\0`);
    const at = into === 0 ? this.core.malloc(text.length) >>> 0 : into;
    if (at !== 0) this.host.bytes().set(text, at);
    return at;
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
    return this.#newTry(size, () => this.core.malloc(size));
  }

  /** What `new` calls when memory is out: it frees something, removes itself, or throws. */
  setNewHandler(handler: (() => void) | undefined): void {
    this.host.newHandler = handler;
  }

  /** new of `count * size` bytes; a product that is too large counts as out of memory. */
  newN(count: number, size: number): number {
    return this.new(product(count, size) ?? 0xffffffff);
  }

  /** new with an alignment. */
  newAligned(size: number, alignment: number): number {
    const ptr = this.newAlignedNothrow(size, alignment);
    if (ptr === 0) throw outOfMemory("newAligned", size);
    return ptr;
  }

  /** newNothrow with an alignment. */
  newAlignedNothrow(size: number, alignment: number): number {
    checkAlignment(alignment);
    return this.#newTry(size, () => this.core.memalign(alignment, size));
  }

  /** realloc in the way of new: asks the handler, and throws when there is none. */
  newRealloc(ptr: number, size: number): number {
    this.checkBlock("newRealloc", ptr);
    const moved = this.#newTry(size, () => this.core.realloc(ptr, size));
    if (moved === 0) throw outOfMemory("newRealloc", size);
    return moved;
  }

  /** newRealloc to `count * size` bytes; a product that is too large counts as out of memory. */
  newReallocn(ptr: number, count: number, size: number): number {
    return this.newRealloc(ptr, product(count, size) ?? 0xffffffff);
  }

  #newTry(size: number, attempt: () => number): number {
    if (typeof size !== "number" || size >>> 0 !== size) sizeRefuse("size", size);
    for (;;) {
      const ptr = attempt() >>> 0;
      if (ptr !== 0) return ptr;
      if (!this.host.newHandler) break;
      this.host.newHandler();
    }
    this.host.newFails(size);
    return 0;
  }

  #checkAligned(call: string, ptr: number, size: number, alignment: number, offset: number): void {
    this.checkBlock(call, ptr);
    checkSize(size, "size");
    checkAlignment(alignment);
    checkSize(offset, "offset");
  }

  #checkSized(call: string, ptr: number, size: number, alignment: number): void {
    checkSize(size, "size");
    checkAlignment(alignment);
    const holds = this.usableSize(ptr);
    const what = ptr === 0 ? 0 : this.core.pointerCheck(ptr);
    if (what !== 0) throw pointerError(call, what, ptr);
    if (ptr !== 0 && (size > holds || ptr % alignment !== 0)) {
      throw misfit(call, ptr, holds, size, alignment);
    }
  }
}

/** count * size, or undefined when that is too large. */
function product(count: number, size: number): number | undefined {
  checkSize(count, "count");
  checkSize(size, "size");
  return count * size > SIZE_LIMIT ? undefined : count * size;
}
