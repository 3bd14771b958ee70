/**
 * The calls of the typed door, of a debug allocator as of the heaps beside it: arguments are
 * checked here, the rest is in verbs.ts. Names, order of arguments and answers are those of Heap;
 * what a caller says of a block's size and alignment is compared with what it was asked for with.
 */
import { checkAlignment, checkPointer, checkSize } from "../../common/checks.ts";
import { sizeRefuse } from "../../common/errors.ts";
import type { Given } from "../store/request.ts";
import { DebugDoor } from "./door.ts";

export abstract class DebugFamily extends DebugDoor {
  /** A block of `size` bytes, aligned to 16 and filled with 0xaa; 0 = out of memory. */
  malloc(size: number): number {
    checkSize(size, "size");
    return this.verbs.malloc(this.at.malloc, size);
  }

  /** A block of `count * size` zero bytes; 0 also when the product is too large. */
  calloc(count: number, size: number): number {
    checkProduct(count, size);
    return this.verbs.calloc(this.at.calloc, count, size);
  }

  /** A block of `size` zero bytes. */
  zalloc(size: number): number {
    checkSize(size, "size");
    return this.verbs.zalloc(this.at.zalloc, size);
  }

  /** A block of `count * size` bytes; 0 also when the product is too large. */
  mallocn(count: number, size: number): number {
    checkProduct(count, size);
    return this.verbs.mallocn(this.at.mallocn, count, size);
  }

  /**
   * Resizes a block, moving it if need be; contents up to the smaller size and the alignment stay.
   * A null pointer allocates. 0 = out of memory, or a reported mistake; then ptr is as it was.
   */
  realloc(ptr: number, size: number): number {
    checkBlock(ptr, size);
    return this.verbs.realloc(this.at.realloc, ptr, size);
  }

  /** realloc that says which size, and which alignment, the block was asked for with. */
  reallocSized(ptr: number, oldSize: number, size: number, alignment?: number): number {
    checkPointer(ptr);
    checkSize(oldSize, "oldSize");
    checkSize(size, "size");
    return this.verbs.reallocSized(this.at.reallocSized, ptr, size, givenOf(oldSize, alignment));
  }

  /** realloc to `count * size` bytes; 0 also when the product is too large. */
  reallocn(ptr: number, count: number, size: number): number {
    checkPointer(ptr);
    checkProduct(count, size);
    return this.verbs.reallocn(this.at.reallocn, ptr, count, size);
  }

  /** reallocn under the name of BSD and POSIX. */
  reallocarray(ptr: number, count: number, size: number): number {
    checkPointer(ptr);
    checkProduct(count, size);
    return this.verbs.reallocn(this.at.reallocarray, ptr, count, size);
  }

  /** realloc that frees ptr when it fails. */
  reallocf(ptr: number, size: number): number {
    checkBlock(ptr, size);
    return this.verbs.reallocf(this.at.reallocf, ptr, size);
  }

  /** realloc that clears what grows; for blocks that were allocated zero. */
  rezalloc(ptr: number, size: number): number {
    checkBlock(ptr, size);
    return this.verbs.rezalloc(this.at.rezalloc, ptr, size);
  }

  /** rezalloc to `count * size` bytes; 0 also when the product is too large. */
  recalloc(ptr: number, count: number, size: number): number {
    checkPointer(ptr);
    checkProduct(count, size);
    return this.verbs.recalloc(this.at.recalloc, ptr, count, size);
  }

  /**
   * reallocarray of the block whose address the word at `at` holds, which then holds the new one.
   * Answers 0, or an errno: 22 = `at` is null; 12 = no memory, and nothing has changed.
   */
  reallocarr(at: number, count: number, size: number): number {
    checkPointer(at);
    checkProduct(count, size);
    return this.verbs.reallocarr(this.at.reallocarr, at, count, size);
  }

  /** ptr if its block can be `size` bytes long where it is, and now is, else 0. Never moves. */
  expand(ptr: number, size: number): number {
    checkBlock(ptr, size);
    return this.verbs.expand(this.at.expand, ptr, size);
  }

  /** A block whose address is a multiple of `alignment`, a power of two. */
  memalign(alignment: number, size: number): number {
    checkAligned(size, alignment);
    return this.verbs.memalign(this.at.memalign, alignment, size);
  }

  /** memalign under the name of C11; `size` need not be a multiple of `alignment`. */
  alignedAlloc(alignment: number, size: number): number {
    checkAligned(size, alignment);
    return this.verbs.alignedAlloc(this.at.alignedAlloc, alignment, size);
  }

  /** A block p with (p + offset) a multiple of `alignment`. It has a run of its own. */
  memalignAt(alignment: number, size: number, offset: number): number {
    checkAligned(size, alignment, offset);
    return this.verbs.memalignAt(this.at.memalignAt, alignment, size, offset);
  }

  /** memalign with mimalloc's order of arguments. */
  mallocAligned(size: number, alignment: number): number {
    checkAligned(size, alignment);
    return this.verbs.mallocAligned(this.at.mallocAligned, size, alignment);
  }

  /** memalignAt with mimalloc's order of arguments. */
  mallocAlignedAt(size: number, alignment: number, offset: number): number {
    checkAligned(size, alignment, offset);
    return this.verbs.mallocAlignedAt(this.at.mallocAlignedAt, size, alignment, offset);
  }

  /** mallocAligned, the whole block zero. */
  zallocAligned(size: number, alignment: number): number {
    checkAligned(size, alignment);
    return this.verbs.zallocAligned(this.at.zallocAligned, size, alignment);
  }

  /** mallocAlignedAt, the whole block zero. */
  zallocAlignedAt(size: number, alignment: number, offset: number): number {
    checkAligned(size, alignment, offset);
    return this.verbs.zallocAlignedAt(this.at.zallocAlignedAt, size, alignment, offset);
  }

  /** zallocAligned of `count * size` bytes; 0 also when the product is too large. */
  callocAligned(count: number, size: number, alignment: number): number {
    checkProduct(count, size);
    checkAlignment(alignment);
    return this.verbs.callocAligned(this.at.callocAligned, count, size, alignment);
  }

  /** zallocAlignedAt of `count * size` bytes; 0 also when the product is too large. */
  callocAlignedAt(count: number, size: number, alignment: number, offset: number): number {
    checkSize(count, "count");
    checkAligned(size, alignment, offset);
    return this.verbs.callocAlignedAt(this.at.callocAlignedAt, count, size, alignment, offset);
  }

  /** realloc with an alignment, and the offset that ptr has from it, as mimalloc does it. */
  reallocAligned(ptr: number, size: number, alignment: number): number {
    checkPointer(ptr);
    checkAligned(size, alignment);
    return this.verbs.reallocAligned(this.at.reallocAligned, ptr, size, alignment);
  }

  /** realloc that keeps (p + offset) a multiple of `alignment`. */
  reallocAlignedAt(ptr: number, size: number, alignment: number, offset: number): number {
    checkPointer(ptr);
    checkAligned(size, alignment, offset);
    return this.verbs.reallocAlignedAt(this.at.reallocAlignedAt, ptr, size, alignment, offset);
  }

  /** reallocAligned that clears what grows; for blocks that were allocated zero. */
  rezallocAligned(ptr: number, size: number, alignment: number): number {
    checkPointer(ptr);
    checkAligned(size, alignment);
    return this.verbs.rezallocAligned(this.at.rezallocAligned, ptr, size, alignment);
  }

  /** reallocAlignedAt that clears what grows; for blocks that were allocated zero. */
  rezallocAlignedAt(ptr: number, size: number, alignment: number, offset: number): number {
    checkPointer(ptr);
    checkAligned(size, alignment, offset);
    return this.verbs.rezallocAlignedAt(this.at.rezallocAlignedAt, ptr, size, alignment, offset);
  }

  /** rezallocAligned to `count * size` bytes; 0 also when the product is too large. */
  recallocAligned(ptr: number, count: number, size: number, alignment: number): number {
    checkPointer(ptr);
    checkProduct(count, size);
    checkAlignment(alignment);
    return this.verbs.recallocAligned(this.at.recallocAligned, ptr, count, size, alignment);
  }

  /** rezallocAlignedAt to `count * size` bytes; 0 also when the product is too large. */
  recallocAlignedAt(
    ptr: number,
    count: number,
    size: number,
    alignment: number,
    offset: number,
  ): number {
    checkPointer(ptr);
    checkSize(count, "count");
    checkAligned(size, alignment, offset);
    const site = this.at.recallocAlignedAt;
    return this.verbs.recallocAlignedAt(site, ptr, count, size, alignment, offset);
  }

  /**
   * Stores the address of an aligned block in the word at `out`. Answers 0, or an errno that leaves
   * `out` as it was: 22 = alignment is no power of two from 4 on, or out is null; 12 = no memory.
   */
  posixMemalign(out: number, alignment: number, size: number): number {
    checkPointer(out);
    checkSize(alignment, "alignment");
    checkSize(size, "size");
    return this.verbs.posixMemalign(this.at.posixMemalign, out, alignment, size);
  }

  /** A block at a multiple of 4 KiB. */
  valloc(size: number): number {
    checkSize(size, "size");
    return this.verbs.valloc(this.at.valloc, size);
  }

  /** valloc of `size` rounded up to 4 KiB; 0 also when that is too large. */
  pvalloc(size: number): number {
    checkSize(size, "size");
    return this.verbs.pvalloc(this.at.pvalloc, size);
  }

  /** Frees a block; null is ignored. */
  free(ptr: number): void {
    checkPointer(ptr);
    this.verbs.free(this.at.free, ptr);
  }

  /** free that says which size, and which alignment, the block was asked for with. */
  freeSized(ptr: number, size: number, alignment?: number): void {
    checkBlock(ptr, size);
    this.verbs.calls.free(this.at.freeSized, ptr, givenOf(size, alignment));
  }

  /** free that says which size the block was asked for with. */
  freeSize(ptr: number, size: number): void {
    checkBlock(ptr, size);
    this.verbs.freeSize(this.at.freeSize, ptr, size);
  }

  /** free that says which size and alignment the block was asked for with; malloc aligns to 16. */
  freeSizeAligned(ptr: number, size: number, alignment: number): void {
    checkPointer(ptr);
    checkAligned(size, alignment);
    this.verbs.freeSizeAligned(this.at.freeSizeAligned, ptr, size, alignment);
  }

  /** free that says which alignment the block was asked for with; malloc aligns to 16. */
  freeAligned(ptr: number, alignment: number): void {
    checkPointer(ptr);
    checkAlignment(alignment);
    this.verbs.freeAligned(this.at.freeAligned, ptr, alignment);
  }

  /** free that ignores what lies in no block. */
  cfree(ptr: number): void {
    checkPointer(ptr);
    this.verbs.cfree(this.at.cfree, ptr);
  }

  /** Bytes that the block at ptr was asked for with; 0 for null. */
  usableSize(ptr: number): number {
    checkPointer(ptr);
    return this.verbs.usableSize(this.at.usableSize, ptr);
  }

  /** usableSize under the name of macOS. */
  mallocSize(ptr: number): number {
    checkPointer(ptr);
    return this.verbs.usableSize(this.at.mallocSize, ptr);
  }

  /** What usableSize of a block for `size` bytes will be: no more than that. */
  goodSize(size: number): number {
    checkSize(size, "size");
    return this.verbs.goodSize(this.at.goodSize, size);
  }

  /** goodSize under the name of macOS. */
  mallocGoodSize(size: number): number {
    return this.goodSize(size);
  }

  /** A copy of the NUL-terminated string at ptr; 0 for null. */
  strdup(ptr: number): number {
    checkPointer(ptr);
    return this.verbs.strdup(this.at.strdup, ptr);
  }

  /** A NUL-terminated copy of at most `max` bytes of the string at ptr; 0 for null. */
  strndup(ptr: number, max: number): number {
    checkPointer(ptr);
    checkSize(max, "max");
    return this.verbs.strndup(this.at.strndup, ptr, max);
  }

  /** strdup of bytes in any encoding, under Microsoft's name. */
  mbsdup(ptr: number): number {
    checkPointer(ptr);
    return this.verbs.mbsdup(this.at.mbsdup, ptr);
  }

  /** A copy of the string of 16-bit characters at ptr; 0 for null. */
  wcsdup(ptr: number): number {
    checkPointer(ptr);
    return this.verbs.wcsdup(this.at.wcsdup, ptr);
  }

  /** A copy of a variable of the environment: see Heap.dupenvS. Answers an errno. */
  dupenvS(out: number, size: number, name: number): number {
    for (const ptr of [out, size, name]) checkPointer(ptr);
    return this.verbs.dupenvS(this.at.dupenvS, out, size, name);
  }

  /** dupenvS in 16-bit characters; the length counts these. */
  wdupenvS(out: number, size: number, name: number): number {
    for (const ptr of [out, size, name]) checkPointer(ptr);
    return this.verbs.wdupenvS(this.at.wdupenvS, out, size, name);
  }

  /**
   * The path at ptr, NUL-terminated UTF-8, without links and dots: in a new block, or at `into`.
   * 0 for null, for a path at which nothing is, and where there is no file system.
   */
  realpath(ptr: number, into = 0): number {
    checkPointer(ptr);
    checkPointer(into);
    return this.verbs.realpath(this.at.realpath, ptr, into);
  }

  /**
   * C++'s operator new: asks the new-handler and tries again while memory is out.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY when there is no handler (any more).
   */
  new(size: number): number {
    checkWord(size, "size");
    return this.verbs.new(this.at.new, size);
  }

  /** new that answers 0 instead of throwing. Sizes that are too large count as out of memory. */
  newNothrow(size: number): number {
    checkWord(size, "size");
    return this.verbs.newNothrow(this.at.newNothrow, size);
  }

  /** new of `count * size` bytes; a product that is too large counts as out of memory. */
  newN(count: number, size: number): number {
    checkProduct(count, size);
    return this.verbs.newN(this.at.newN, count, size);
  }

  /** new with an alignment. */
  newAligned(size: number, alignment: number): number {
    checkWord(size, "size");
    checkAlignment(alignment);
    return this.verbs.newAligned(this.at.newAligned, size, alignment);
  }

  /** newNothrow with an alignment. */
  newAlignedNothrow(size: number, alignment: number): number {
    checkWord(size, "size");
    checkAlignment(alignment);
    return this.verbs.newAlignedNothrow(this.at.newAlignedNothrow, size, alignment);
  }

  /** realloc in the way of new: asks the handler, and throws when there is none. */
  newRealloc(ptr: number, size: number): number {
    checkPointer(ptr);
    checkWord(size, "size");
    return this.verbs.newRealloc(this.at.newRealloc, ptr, size);
  }

  /** newRealloc to `count * size` bytes; a product that is too large counts as out of memory. */
  newReallocn(ptr: number, count: number, size: number): number {
    checkPointer(ptr);
    checkProduct(count, size);
    return this.verbs.newReallocn(this.at.newReallocn, ptr, count, size);
  }

  /** What `new` calls when memory is out: it frees something, removes itself, or throws. */
  setNewHandler(handler: (() => void) | undefined): void {
    this.verbs.calls.newHandler = handler;
  }
}

function checkProduct(count: number, size: number): void {
  checkSize(count, "count");
  checkSize(size, "size");
}

function checkBlock(ptr: number, size: number): void {
  checkPointer(ptr);
  checkSize(size, "size");
}

function checkAligned(size: number, alignment: number, offset = 0): void {
  checkAlignment(alignment);
  checkSize(size, "size");
  checkSize(offset, "offset");
}

/** For sizes that may be more than any block has. */
function checkWord(size: number, what: string): void {
  if (typeof size !== "number" || size >>> 0 !== size) sizeRefuse(what, size);
}

function givenOf(size: number, alignment: number | undefined): Given {
  if (alignment === undefined) return { size };
  checkAlignment(alignment);
  return { size, alignment };
}
