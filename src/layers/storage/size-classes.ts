/** Size classes: four for each doubling (16, 32, 48, 64, 80, 96, 112, 128, 160, …), or one. */

/** The class whose blocks hold `size` bytes. */
export function classOf(size: number): number {
  if (size <= 128) return size <= 16 ? 0 : (size - 1) >>> 4;
  const doubling = 31 - Math.clz32(size - 1);
  return 4 * (doubling - 6) + ((size - 1) >>> (doubling - 2));
}

/** The exponent of the power of two that holds `size` bytes; at least 4, which is 16 bytes. */
export function orderOf(size: number): number {
  return size <= 16 ? 4 : 32 - Math.clz32(size - 1);
}

/** Bytes of the blocks of a class. */
export function classSize(index: number): number {
  if (index < 8) return 16 * (index + 1);
  const doubling = (index >>> 2) + 5;
  return ((index & 3) + 5) << (doubling - 2);
}
