/** The pattern that the measuring pass writes into blocks, and checks later. */

/** Bytes at each end of a block that depend on all of its ID; between them one byte repeats. */
const EDGE = 16;
/** Every eighth byte of the middle is checked: blocks are at least so far from each other. */
const STRIDE = 8;

/** Words of different IDs differ, since the factor is odd. */
function patternWord(id: number): number {
  return Math.imul(id, 0x9e3779b1);
}

function edgeByte(word: number, at: number): number {
  return (word >>> ((at & 3) * 8)) & 255;
}

function middleByte(word: number): number {
  return word >>> 24;
}

export function patternWrite(block: Uint8Array, id: number): void {
  const { length } = block;
  const word = patternWord(id);
  const head = Math.min(EDGE, length);
  const tail = Math.max(head, length - EDGE);
  for (let at = 0; at < head; at++) block[at] = edgeByte(word, at);
  block.fill(middleByte(word), head, tail);
  for (let at = tail; at < length; at++) block[at] = edgeByte(word, at);
}

/**
 * Whether a block has the pattern that was written when it had `size` bytes. A block that was
 * reallocated may be shorter or longer now; only bytes that both have are compared.
 */
export function patternIsWhole(block: Uint8Array, id: number, size: number): boolean {
  const word = patternWord(id);
  const kept = Math.min(size, block.length);
  const head = Math.min(EDGE, kept);
  const tail = Math.max(head, size - EDGE);
  return (
    edgeHolds(block, word, 0, head) &&
    middleHolds(block, middleByte(word), head, Math.min(tail, kept)) &&
    edgeHolds(block, word, tail, kept)
  );
}

function edgeHolds(block: Uint8Array, word: number, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (block[at] !== edgeByte(word, at)) return false;
  return true;
}

function middleHolds(block: Uint8Array, byte: number, from: number, to: number): boolean {
  for (let at = from; at < to; at += STRIDE) if (block[at] !== byte) return false;
  return true;
}

export function bytesAreZero(block: Uint8Array): boolean {
  for (let at = 0; at < block.length; at++) if (block[at] !== 0) return false;
  return true;
}
