/** What a replay needs of an allocator, and how one over linear memory becomes that. */

/**
 * An allocator under replay. A pointer is a number that only the subject understands; 0 is out of
 * memory. The five verbs are the allocator's own functions, not wrappers around them: WebAssembly
 * hands out addresses above 2 GiB as negatives, which the replay mends with `>>> 0`.
 */
export interface Subject {
  malloc(size: number): number;
  calloc(count: number, size: number): number;
  memalign(alignment: number, size: number): number;
  realloc(p: number, size: number): number;
  free(p: number): unknown;
  /** Writes the block's first and last byte, as the program would. */
  touch(p: number, size: number): void;
  /** The block's bytes; shorter than size if the block does not lie in the memory. */
  bytes(p: number, size: number): Uint8Array;
  /** Bytes of the allocator's own state outside of the granules of its blocks. */
  stateBytes(): number;
  /**
   * Only of a subject whose pointers are no addresses: bytes that the process holds just now.
   * Slow (it collects garbage), and good for differences only.
   */
  heldBytes?(): number;
}

/** C's names over one linear memory; memalign only where the allocator has it. */
export interface Raw {
  malloc(size: number): number;
  calloc(count: number, size: number): number;
  memalign?(alignment: number, size: number): number;
  realloc(p: number, size: number): number;
  free(p: number): unknown;
}

/** What an allocator without memalign promises all the same: the alignment of a double. */
const ALIGNMENT_MIN = 8;

/**
 * @param current the whole memory as it is now; a memory that grows gets a new buffer.
 * @param aligned the trace has memalign: an allocator without it is helped, which costs it a
 *   table that is looked at by every free. Without, nothing stands in its way.
 */
export function linearSubject(
  raw: Raw,
  current: () => Uint8Array,
  stateBytes: () => number,
  aligned: boolean,
): Subject {
  const verbs = aligned && raw.memalign === undefined ? alignedRaw(raw, current) : raw;
  const { malloc, calloc, realloc, free } = verbs;
  const memalign = verbs.memalign ?? memalignMissing;
  const touch = linearTouch(current);
  const bytes = (p: number, size: number): Uint8Array => current().subarray(p, p + size);
  return { malloc, calloc, memalign, realloc, free, touch, bytes, stateBytes };
}

function memalignMissing(): never {
  throw new TypeError("memalign was not asked for when the subject was made");
}

/**
 * Bytes and not words, so that a block of any size, in any allocator, costs the same two stores.
 * The view is asked for anew only when a block lies behind its end (a detached view has length 0):
 * a program that keeps a view over its memory does just that.
 */
function linearTouch(current: () => Uint8Array): (p: number, size: number) => void {
  let view = current();
  return (p, size) => {
    if (size === 0) return;
    const last = p + size - 1;
    if (last >= view.length) view = current();
    view[p] = 1;
    view[last] = 1;
  };
}

interface Moved {
  readonly base: number;
  readonly size: number;
}

/** What programs do over an allocator that cannot align: ask for more and step forward. */
function alignedRaw(raw: Raw, current: () => Uint8Array): Raw {
  const moved = new Map<number, Moved>();
  function memalign(alignment: number, size: number): number {
    if (alignment <= ALIGNMENT_MIN) return raw.malloc(size) >>> 0;
    const base = raw.malloc(size + alignment) >>> 0;
    if (base === 0) return 0;
    const p = Math.ceil(base / alignment) * alignment;
    moved.set(p, { base, size });
    return p;
  }
  function free(p: number): void {
    const { base } = moved.get(p) ?? { base: p };
    moved.delete(p);
    raw.free(base);
  }
  function realloc(p: number, size: number): number {
    const old = moved.get(p);
    if (old === undefined) return raw.realloc(p, size);
    const next = raw.malloc(size) >>> 0;
    if (next === 0) return 0;
    current().copyWithin(next, p, p + Math.min(size, old.size));
    free(p);
    return next;
  }
  return { malloc: raw.malloc, calloc: raw.calloc, memalign, realloc, free };
}
