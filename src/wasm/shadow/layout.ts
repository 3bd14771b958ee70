/**
 * The memory of a checked program.
 *
 *   0              program's end     heapStart    shadowStart  definedStart     originStart   end
 *   │ data, stack    │ memory.grow …   │ blocks …   │ shadow     │ undefined bits │ origins     │
 *
 * The memory has its full size from the start; what is not touched costs address space only. The
 * program's memory.size and memory.grow see a window of it that ends at heapStart at the latest. A
 * shadow byte describes 8 bytes, a granule: 8 = all may be accessed, 1 to 7 = so many at its
 * beginning, other values = none.
 *
 * If reads of uninitialised memory are to be found, two more ranges follow, each as large as
 * program and heap: a byte for each byte, in which a set bit means that this bit is undefined; and
 * a word for each word, with the address where an undefined value that is stored there was read.
 *
 * Values for "none" have bit 3 clear, so the AND of two shadow bytes is 8 only if both are 8: one
 * comparison checks an access that may lie in two granules.
 */
import { PAGE_BYTES } from "../../common/constants.ts";
import { unsupported } from "../module/errors.ts";
import type { Limits } from "../module/module.ts";

/** From an address to its granule. */
export const GRANULE_SHIFT = 3;

/** The shadow of a granule all of which may be accessed. */
export const OPEN = 8;
/** Shadows of granules that may not be accessed. */
export const RED_ZONE = 0x10;
export const FREED = 0x20;
export const NULL_PAGE = 0x40;

/**
 * The contents of memory that was never written, if that is followed. Text does not contain this
 * byte and few numbers do, so other bytes were written by code whose stores are not checked.
 */
export const NEVER_WRITTEN = 0xc1;

/** Address space for the program, unless it needs more, and for checked blocks. */
const PROGRAM_BYTES = 2 ** 29;
export const HEAP_BYTES: number = 2 ** 29;
/** The same if definedness is followed, which takes more than one byte for each byte. */
export const HEAP_BYTES_DEFINED: number = 2 ** 28;
/** The shadow of all addresses. */
const SHADOW_WHOLE = 2 ** (32 - GRANULE_SHIFT);
const SPACE_BYTES = 2 ** 32 - PAGE_BYTES;

/** Where the parts of a checked program's memory are. Addresses are in bytes, page-aligned. */
export interface Layout {
  /** Pages that the program has at its start. */
  readonly initialPages: number;
  /** The most pages that it may have. */
  readonly maximumPages: number;
  /** First byte of the checked heap. */
  readonly heapStart: number;
  /** First byte of the shadow, and the end of the checked heap. */
  readonly shadowStart: number;
  /** First byte of the undefined bits: those of address 0. */
  readonly definedStart: number;
  /** First byte of the origins: the one of address 0. */
  readonly originStart: number;
  /** Pages of the whole memory. */
  readonly pages: number;
}

/** @throws ModuleError if program, heap and their shadow do not fit into 4 GiB. */
export function layoutMake(limits: Limits, heapBytes: number, defined = false): Layout {
  const initial = limits.min * PAGE_BYTES;
  const heapStart = Math.max(PROGRAM_BYTES, 2 ** Math.ceil(Math.log2(Math.max(1, initial * 2))));
  const shadowStart = heapStart + Math.ceil(heapBytes / PAGE_BYTES) * PAGE_BYTES;
  const own = Math.ceil(shadowStart / 8 / PAGE_BYTES) * PAGE_BYTES;
  const beside = shadowStart * (defined ? 2 : 0);
  // Addresses behind the shadow's start have a shadow too where it fits, so that the check of such
  // an access reports it and does not trap itself.
  const shadowBytes = shadowStart + SHADOW_WHOLE + beside <= SPACE_BYTES ? SHADOW_WHOLE : own;
  const definedStart = shadowStart + shadowBytes;
  const originStart = definedStart + shadowStart;
  const pages = (definedStart + beside) / PAGE_BYTES;
  if (pages * PAGE_BYTES > SPACE_BYTES) {
    throw unsupported(0, `a program of ${initial} bytes and a checked heap of ${heapBytes}`);
  }
  return {
    initialPages: limits.min,
    maximumPages: Math.min(limits.max ?? heapStart / PAGE_BYTES, heapStart / PAGE_BYTES),
    heapStart,
    shadowStart,
    definedStart,
    originStart,
    pages,
  };
}
