/**
 * The header in front of every block of the hardened malloc, 16 bytes:
 *
 *   0          2          4          8          12         16
 *   +----------+----------+----------+----------+----------+----------
 *   | state,   | checksum | size     | offset   | link     | block
 *   | origin   |          |          |          |          |
 *   +----------+----------+----------+----------+----------+----------
 *
 *   size      bytes of the request
 *   offset    from the begin of the chunk or mapping that holds header and block, to the block
 *   link      the next block in quarantine; not part of the checksum
 *   checksum  16 bits over state, origin, size, offset, the address and a secret of the allocator
 *
 * Where an alignment leaves a gap before the header, the begin of the chunk has a mark and the
 * offset, so that the block can be found from there. The mark cannot be a header, whose state and
 * origin take four bits. Neither mark nor offset is trusted: the header that they lead to has a
 * checksum.
 *
 * A header is changed by compare-and-swap of its first word. If two threads free a block at once,
 * one of them finds it freed.
 */
import {
  type Action,
  corruptedHeader,
  type HardenedError,
  invalidState,
  type Origin,
} from "./reports.ts";

export const HEADER_BYTES = 16;
/** States of a block. A header of zeros is invalid. */
export const AVAILABLE = 1;
export const ALLOCATED = 2;
export const QUARANTINED = 3;

const MARK = 0x5ca1ab1e;

const SIZE = 1;
const OFFSET = 2;
const LINK = 3;

/** The fields of a header. */
export interface Header {
  /** The first word as it was read. */
  readonly first: number;
  readonly state: number;
  readonly origin: Origin;
  readonly size: number;
  readonly offset: number;
}

/** The headers in one memory, under one secret. */
export class Headers {
  readonly #words: () => Uint32Array;
  readonly #cookie: number;

  constructor(words: () => Uint32Array, cookie: number) {
    this.#words = words;
    this.#cookie = cookie;
  }

  /** Writes the header of a block that was just allocated, or resized in place. */
  write(ptr: number, origin: Origin, size: number, offset: number): void {
    const words = this.#words();
    const at = indexOf(ptr);
    words[at + SIZE] = size;
    words[at + OFFSET] = offset;
    words[at] = this.#first(ptr, ALLOCATED | (origin << 2), size, offset);
    if (offset === HEADER_BYTES) return;
    words[(ptr - offset) / 4] = MARK;
    words[(ptr - offset) / 4 + 1] = offset;
  }

  /** The header in front of ptr; undefined if its checksum is wrong. */
  find(ptr: number): Header | undefined {
    const words = this.#words();
    const at = indexOf(ptr);
    if (at < 0 || at + LINK >= words.length) return undefined;
    const first = Atomics.load(words, at);
    const size = words[at + SIZE] as number;
    const offset = words[at + OFFSET] as number;
    if (first !== this.#first(ptr, first & 15, size, offset)) return undefined;
    return { first, state: first & 3, origin: ((first >>> 2) & 3) as Origin, size, offset };
  }

  /** The error for a pointer where find returns undefined. */
  corrupted(ptr: number): HardenedError {
    return corruptedHeader(ptr, this.#words()[indexOf(ptr)]);
  }

  /** The block, live or free, in the chunk that begins at an address; 0 = there never was one. */
  blockIn(begin: number): number {
    const words = this.#words();
    const marked = words[begin / 4] === MARK;
    const ptr = begin + (marked ? (words[begin / 4 + 1] as number) : HEADER_BYTES);
    return ptr % 16 === 0 && this.find(ptr)?.offset === ptr - begin ? ptr : 0;
  }

  /**
   * Changes the state of a block.
   *
   * @throws HardenedError ERR_BLOCK_STATE when another thread changed it first.
   */
  stateChange(ptr: number, header: Header, state: number, action: Action): void {
    const { first, origin, size, offset } = header;
    const after = this.#first(ptr, state | (origin << 2), size, offset);
    const found = Atomics.compareExchange(this.#words(), indexOf(ptr), first, after);
    if (found !== first) throw invalidState(action, ptr);
  }

  /** The first word, with its checksum. `low`: state and origin. */
  #first(ptr: number, low: number, size: number, offset: number): number {
    const sum = mixed(mixed(mixed(this.#cookie ^ ptr, low), size), offset);
    return ((sum << 16) | low) >>> 0;
  }
}

/** The size in a header that is not checked: for statistics only. */
export function sizeIn(words: Uint32Array, ptr: number): number {
  return words[indexOf(ptr) + SIZE] as number;
}

/** The block that is linked after another; 0 = none. */
export function linkIn(words: Uint32Array, ptr: number): number {
  return words[indexOf(ptr) + LINK] as number;
}

export function linkTo(words: Uint32Array, ptr: number, next: number): void {
  words[indexOf(ptr) + LINK] = next;
}

function indexOf(ptr: number): number {
  return ptr / 4 - HEADER_BYTES / 4;
}

/** A round of MurmurHash3 (Appleby). */
function mixed(sum: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  const h = sum ^ k;
  const turned = (h << 13) | (h >>> 19);
  const next = (Math.imul(turned, 5) + 0xe6546b64) | 0;
  return next ^ (next >>> 16);
}
