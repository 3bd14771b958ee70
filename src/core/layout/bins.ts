/**
 * Size classes: 8 and 16 bytes, multiples of 16 up to 64, then four classes for each doubling up to
 * 1 KiB, as mimalloc has them on 64 bits (specification 4.1; the bins 3, 5 and 7 do not occur, so
 * that blocks above 8 bytes are aligned to 16). From there to 8 KiB there are eight classes for
 * each doubling: with four, sqlite's pages of 4 KiB and a header lose a sixth of all its memory to
 * slack.
 */
import { leadingZeros } from "../target/glue.ts";
import * as L from "./layout.ts";

/** Bin of 1 024 bytes, the last one of the coarse classes. */
const BIN_KIB: u32 = 24;

/** Bin of a size of at most SMALL_MAX bytes. */
export function binOf(size: u32): u32 {
  const words: u32 = (size + 7) >>> 3;
  if (words <= 8) return words <= 1 ? 1 : (words + 1) & 14;
  const last: u32 = words - 1;
  const top: u32 = 31 - leadingZeros(last);
  if (words <= 128) return (top << 2) + ((last >>> (top - 2)) & 3) - 3;
  return BIN_KIB - 55 + (top << 3) + ((last >>> (top - 3)) & 7);
}

/** Block size of a bin from 1 to BIN_LAST. */
// @cold
export function binSize(bin: u32): u32 {
  if (bin <= 8) return bin << 3;
  if (bin <= BIN_KIB) return (((bin + 3) & 3) + 5) << (((bin + 3) >>> 2) + 1);
  const e: u32 = bin - BIN_KIB - 1;
  return ((e & 7) + 9) << ((e >>> 3) + 7);
}

/** Usable bytes of a fresh block for a request of at most SIZE_MAX bytes. */
export function goodSize(size: u32): u32 {
  if (size <= L.SMALL_MAX) return binSize(binOf(size));
  if (size <= L.MEDIUM_MAX) return ((size + (L.UNIT_SIZE - 1)) & ~(L.UNIT_SIZE - 1)) >>> 0;
  return ((size + (L.SLICE_SIZE - 1)) & 0xffff0000) >>> 0;
}
