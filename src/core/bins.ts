/**
 * Size classes: 8 and 16 bytes, multiples of 16 up to 64, then four classes a doubling, so that at
 * most a fifth of a block above 64 bytes is slack. Sizes and numbers are those of mimalloc on
 * 64 bits (specification 4.1); the bins 3, 5 and 7 do not occur, so that blocks above 8 bytes are
 * aligned to 16.
 */
import { leadingZeros } from "./glue.ts";
import { MEDIUM_MAX, SLICE_SIZE } from "./layout.ts";

/** Bin of a size of at most MEDIUM_MAX bytes. */
export function binOf(size: u32): u32 {
  const words: u32 = (size + 7) >>> 3;
  if (words <= 8) return words <= 1 ? 1 : (words + 1) & 14;
  const last: u32 = words - 1;
  const top: u32 = 31 - leadingZeros(last);
  return (top << 2) + ((last >>> (top - 2)) & 3) - 3;
}

/** Block size of a bin from 1 to BIN_LAST. */
export function binSize(bin: u32): u32 {
  if (bin <= 8) return bin << 3;
  const e: u32 = bin + 3;
  return (((e & 3) + 5) << ((e >>> 2) - 2)) << 3;
}

/** Usable bytes of a fresh block for a request; SIZE_MAX is the largest sensible one. */
export function goodSize(size: u32): u32 {
  if (size <= MEDIUM_MAX) return binSize(binOf(size));
  return ((size + (SLICE_SIZE - 1)) & 0xffff0000) >>> 0;
}
