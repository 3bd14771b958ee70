/** Hashes of keys: 32 bits, never 0. */

const words = new Uint32Array(2);
const numbers = new Float64Array(words.buffer);

/** Spreads every bit of a hash over all bits (the finalizer of MurmurHash3). */
function mix(hash: number): number {
  let x = hash ^ (hash >>> 16);
  x = Math.imul(x, 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0 || 1;
}

export function numberHash(value: number): number {
  numbers[0] = value;
  return mix((words[0] as number) ^ Math.imul(words[1] as number, 0x9e3779b1));
}

/** FNV-1a, without a secret: keys can be chosen so that they collide. */
export function bytesHash(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
  return mix(hash);
}
