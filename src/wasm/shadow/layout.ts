/**
 * The memory of a checked program.
 *
 *   0              program's end     heapStart    shadowStart  definedStart     originStart   end
 *   │ data, stack    │ memory.grow …   │ blocks …   │ shadow     │ undefined bits │ origins     │
 *
 * The whole range is there from the start (untouched, it costs address space only); the program's
 * memory.size and memory.grow see a window that ends at heapStart at the latest. A shadow byte
 * tells of 8 bytes: 8 = all may be touched, 1 to 7 = so many of the first, others = none.
 *
 * Where uninitialised reads are looked for, two more ranges follow, as large as program and heap: a
 * byte for each byte, in which a set bit means that this bit is undefined; and a word for each word
 * into which something undefined was stored, with the address where that had been read.
 *
 * Codes of "none" leave bit 3 clear, so that the AND of two shadow bytes is 8 only if both are 8:
 * that is one comparison for an access which may lie across two granules.
 */
import { unsupported } from "../module/errors.ts";
import type { Limits } from "../module/module.ts";

export const PAGE = 65536;
export const GRANULE_SHIFT = 3;

/** Shadow of a granule that may be touched whole. */
export const OPEN = 8;
export const RED_ZONE = 0x10;
export const FREED = 0x20;
export const NULL_PAGE = 0x40;

/**
 * What memory holds that nobody has written, where that is looked for. No text has this byte, few
 * numbers do: a byte that differs has been written by somebody whose stores are not seen.
 */
export const NEVER_WRITTEN = 0xc1;

/** Address space for the program and for checked blocks, unless the program needs more. */
const PROGRAM_BYTES = 2 ** 29;
export const HEAP_BYTES: number = 2 ** 29;
/** The same where every byte has nine bits of books and more. */
export const HEAP_BYTES_DEFINED: number = 2 ** 28;
const SPACE_BYTES = 2 ** 32 - PAGE;

export interface Layout {
  /** Pages that the program has at the beginning. */
  readonly initialPages: number;
  /** Pages to which it may grow. */
  readonly maximumPages: number;
  /** First byte of the checked heap. */
  readonly heapStart: number;
  /** First byte of the shadow, and the end of the checked heap. */
  readonly shadowStart: number;
  /** First byte of the undefined bits: of those of address 0. */
  readonly definedStart: number;
  /** First byte of the origins: of that of address 0. */
  readonly originStart: number;
  /** Pages of the whole memory. */
  readonly pages: number;
}

/** @throws ModuleError when program and heap do not fit into 4 GiB beside their shadow. */
export function layoutMake(limits: Limits, heapBytes: number, defined = false): Layout {
  const initial = limits.min * PAGE;
  const heapStart = Math.max(PROGRAM_BYTES, 2 ** Math.ceil(Math.log2(Math.max(1, initial * 2))));
  const shadowStart = heapStart + Math.ceil(heapBytes / PAGE) * PAGE;
  const definedStart = Math.ceil((shadowStart + shadowStart / 8) / PAGE) * PAGE;
  const originStart = definedStart + shadowStart;
  const pages = (defined ? originStart + shadowStart : definedStart) / PAGE;
  if (pages * PAGE > SPACE_BYTES) {
    throw unsupported(0, `a program of ${initial} bytes and a checked heap of ${heapBytes}`);
  }
  return {
    initialPages: limits.min,
    maximumPages: Math.min(limits.max ?? heapStart / PAGE, heapStart / PAGE),
    heapStart,
    shadowStart,
    definedStart,
    originStart,
    pages,
  };
}
