/**
 * C's, POSIX's, mimalloc's and C++'s calls on a debug allocator, without checks of arguments: what
 * the typed door and the functions for wasm modules have in common. A request that cannot be met
 * answers 0; numbers are unsigned by the time they come here.
 */

import { EINVAL, ENOMEM } from "../../common/errno.ts";
import { outOfMemory, SIZE_LIMIT } from "../../common/errors.ts";
import { pathResolve } from "../../common/node-fs.ts";
import { OS_PAGE } from "../../heap/calls/heap-calls.ts";
import { environmentCopy, type TextMemory, wideCopy } from "../../heap/calls/text.ts";
import type { AlignmentRequest } from "../store/block.ts";
import type { Change } from "../store/request.ts";
import type { Calls, Site } from "./calls.ts";

export class Verbs {
  readonly calls: Calls;

  constructor(calls: Calls) {
    this.calls = calls;
  }

  malloc(site: Site, size: number): number {
    return this.#get(site, size);
  }

  zalloc(site: Site, size: number): number {
    return this.#get(site, size, undefined, true);
  }

  mallocn(site: Site, count: number, size: number): number {
    return this.#get(site, count * size);
  }

  calloc(site: Site, count: number, size: number): number {
    return this.#get(site, count * size, undefined, true);
  }

  memalign(site: Site, alignment: number, size: number): number {
    return this.#get(site, size, { alignment, offset: 0 });
  }

  alignedAlloc(site: Site, alignment: number, size: number): number {
    return this.memalign(site, alignment, size);
  }

  memalignAt(site: Site, alignment: number, size: number, offset: number): number {
    return this.#get(site, size, { alignment, offset });
  }

  mallocAligned(site: Site, size: number, alignment: number): number {
    return this.#get(site, size, { alignment, offset: 0 });
  }

  mallocAlignedAt(site: Site, size: number, alignment: number, offset: number): number {
    return this.#get(site, size, { alignment, offset });
  }

  zallocAligned(site: Site, size: number, alignment: number): number {
    return this.#get(site, size, { alignment, offset: 0 }, true);
  }

  zallocAlignedAt(site: Site, size: number, alignment: number, offset: number): number {
    return this.#get(site, size, { alignment, offset }, true);
  }

  callocAligned(site: Site, count: number, size: number, alignment: number): number {
    return this.#get(site, count * size, { alignment, offset: 0 }, true);
  }

  callocAlignedAt(
    site: Site,
    count: number,
    size: number,
    alignment: number,
    offset: number,
  ): number {
    return this.#get(site, count * size, { alignment, offset }, true);
  }

  valloc(site: Site, size: number): number {
    return this.memalign(site, OS_PAGE, size);
  }

  pvalloc(site: Site, size: number): number {
    return this.memalign(site, OS_PAGE, Math.ceil(size / OS_PAGE) * OS_PAGE);
  }

  posixMemalign(site: Site, out: number, alignment: number, size: number): number {
    if (out === 0 || alignment < 4 || !isAlignment(alignment)) return EINVAL;
    const ptr = this.memalign(site, alignment, size);
    if (ptr !== 0) this.calls.backing.u32[out >>> 2] = ptr;
    return ptr === 0 ? ENOMEM : 0;
  }

  realloc(site: Site, ptr: number, size: number): number {
    return this.#resize(site, ptr, { size });
  }

  reallocSized(site: Site, ptr: number, size: number, given: Change["given"]): number {
    return this.#resize(site, ptr, { size, given });
  }

  reallocn(site: Site, ptr: number, count: number, size: number): number {
    return this.#resize(site, ptr, { size: count * size });
  }

  reallocf(site: Site, ptr: number, size: number): number {
    const to = this.#resize(site, ptr, { size });
    if (to === 0 && this.calls.isLive(ptr)) this.calls.free(site, ptr);
    return to;
  }

  rezalloc(site: Site, ptr: number, size: number): number {
    return this.#resize(site, ptr, { size, zero: true });
  }

  recalloc(site: Site, ptr: number, count: number, size: number): number {
    return this.#resize(site, ptr, { size: count * size, zero: true });
  }

  reallocarr(site: Site, at: number, count: number, size: number): number {
    if (at === 0) return EINVAL;
    const ptr = this.calls.backing.u32[at >>> 2] as number;
    const to = this.#resize(site, ptr, { size: count * size });
    if (to !== 0) this.calls.backing.u32[at >>> 2] = to;
    return to === 0 ? ENOMEM : 0;
  }

  reallocAligned(site: Site, ptr: number, size: number, alignment: number): number {
    return this.#resize(site, ptr, { size, align: placeAs(ptr, alignment) });
  }

  reallocAlignedAt(
    site: Site,
    ptr: number,
    size: number,
    alignment: number,
    offset: number,
  ): number {
    return this.#resize(site, ptr, { size, align: { alignment, offset } });
  }

  rezallocAligned(site: Site, ptr: number, size: number, alignment: number): number {
    return this.#resize(site, ptr, { size, zero: true, align: placeAs(ptr, alignment) });
  }

  rezallocAlignedAt(
    site: Site,
    ptr: number,
    size: number,
    alignment: number,
    offset: number,
  ): number {
    return this.#resize(site, ptr, { size, zero: true, align: { alignment, offset } });
  }

  recallocAligned(site: Site, ptr: number, count: number, size: number, alignment: number): number {
    return this.rezallocAligned(site, ptr, count * size, alignment);
  }

  recallocAlignedAt(
    site: Site,
    ptr: number,
    count: number,
    size: number,
    alignment: number,
    offset: number,
  ): number {
    return this.rezallocAlignedAt(site, ptr, count * size, alignment, offset);
  }

  expand(site: Site, ptr: number, size: number): number {
    if (ptr === 0 || size > SIZE_LIMIT) return 0;
    return this.calls.resize(site, ptr, { size, stay: true });
  }

  free(site: Site, ptr: number): void {
    this.calls.free(site, ptr);
  }

  freeSize(site: Site, ptr: number, size: number): void {
    this.calls.free(site, ptr, { size });
  }

  freeAligned(site: Site, ptr: number, alignment: number): void {
    this.calls.free(site, ptr, { alignment });
  }

  freeSizeAligned(site: Site, ptr: number, size: number, alignment: number): void {
    this.calls.free(site, ptr, { size, alignment });
  }

  /** C23 has the alignment first. */
  freeAlignedSized(site: Site, ptr: number, alignment: number, size: number): void {
    this.calls.free(site, ptr, { size, alignment });
  }

  cfree(site: Site, ptr: number): void {
    if (this.calls.contains(ptr)) this.calls.free(site, ptr);
  }

  usableSize(site: Site, ptr: number): number {
    return this.calls.usable(site, ptr);
  }

  goodSize(_site: Site, size: number): number {
    return size;
  }

  contains(_site: Site, ptr: number): boolean {
    return this.calls.contains(ptr);
  }

  strdup(site: Site, ptr: number): number {
    return this.strndup(site, ptr, SIZE_LIMIT);
  }

  strndup(site: Site, ptr: number, max: number): number {
    if (ptr === 0) return 0;
    const { backing } = this.calls;
    const nul = backing.u8.indexOf(0, ptr);
    const length = Math.min((nul < 0 ? backing.u8.length : nul) - ptr, max);
    const to = this.#get(site, length + 1);
    if (to === 0) return 0;
    const { u8 } = backing;
    u8.copyWithin(to, ptr, ptr + length);
    u8[to + length] = 0;
    return to;
  }

  mbsdup(site: Site, ptr: number): number {
    return this.strdup(site, ptr);
  }

  wcsdup(site: Site, ptr: number): number {
    return wideCopy(this.#widely(site), ptr, 2);
  }

  /** C's wcsdup: wide characters of wasm32 have 4 bytes. */
  wcsdupC(site: Site, ptr: number): number {
    return wideCopy(this.#widely(site), ptr, 4);
  }

  dupenvS(site: Site, out: number, size: number, name: number): number {
    return environmentCopy(this.#widely(site), [out, size, name], 1);
  }

  wdupenvS(site: Site, out: number, size: number, name: number): number {
    return environmentCopy(this.#widely(site), [out, size, name], 2);
  }

  realpath(site: Site, ptr: number, into: number): number {
    if (ptr === 0) return 0;
    const { backing } = this.calls;
    const bytes = backing.u8.slice(ptr, backing.u8.indexOf(0, ptr));
    const path = pathResolve(new TextDecoder().decode(bytes));
    if (path === undefined) return 0;
    const text = new TextEncoder().encode(`${path}\0`);
    const at = into === 0 ? this.#get(site, text.length) : into;
    if (at !== 0) backing.u8.set(text, at);
    return at;
  }

  new(site: Site, size: number): number {
    return this.newNothrow(site, size) || newFails(site, size);
  }

  newNothrow(site: Site, size: number): number {
    return this.#newTry(() => this.#get(site, size));
  }

  newN(site: Site, count: number, size: number): number {
    return this.new(site, count * size);
  }

  newAligned(site: Site, size: number, alignment: number): number {
    return this.newAlignedNothrow(site, size, alignment) || newFails(site, size);
  }

  newAlignedNothrow(site: Site, size: number, alignment: number): number {
    return this.#newTry(() => this.memalign(site, alignment, size));
  }

  newRealloc(site: Site, ptr: number, size: number): number {
    return this.#newTry(() => this.realloc(site, ptr, size)) || newFails(site, size);
  }

  newReallocn(site: Site, ptr: number, count: number, size: number): number {
    return this.newRealloc(site, ptr, count * size);
  }

  #widely(site: Site): TextMemory {
    const malloc = (size: number) => this.#get(site, size);
    return { malloc, bytes: () => this.calls.backing.u8 };
  }

  #get(site: Site, size: number, align?: AlignmentRequest, zero = false): number {
    if (size > SIZE_LIMIT || (align && !isAlignment(align.alignment))) return 0;
    return this.calls.request(site, { size, align, zero });
  }

  #resize(site: Site, ptr: number, change: Change): number {
    if (change.size > SIZE_LIMIT) return 0;
    if (change.align && !isAlignment(change.align.alignment)) return 0;
    return this.calls.resize(site, ptr, change);
  }

  /** While memory is out, the handler may free some. */
  #newTry(attempt: () => number): number {
    for (;;) {
      const ptr = attempt();
      const { newHandler } = this.calls;
      if (ptr !== 0 || !newHandler) return ptr;
      newHandler();
    }
  }
}

function newFails(site: Site, size: number): never {
  throw outOfMemory(site.call, size);
}

/** mimalloc's quirk: the offset is the remainder that the pointer has. */
function placeAs(ptr: number, alignment: number): AlignmentRequest {
  return { alignment, offset: alignment === 0 ? 0 : ptr % alignment };
}

function isAlignment(number: number): boolean {
  return number !== 0 && (number & (number - 1)) === 0 && number <= 2 ** 30;
}
