/** What a replay needs of an allocator, and how an allocator over linear memory gets it. */

/**
 * An allocator under replay. A pointer is a number that only the subject can use; 0 means that
 * there is no memory. The five calls are the allocator's own functions, without wrappers:
 * WebAssembly returns addresses above 2 GiB as negative numbers, which the replay converts with
 * `>>> 0`.
 */
export interface Subject {
  /** Allocates `size` bytes. */
  malloc(size: number): number;
  /** Allocates `count * size` bytes that are zero. */
  calloc(count: number, size: number): number;
  /** Allocates `size` bytes at a multiple of `alignment`, a power of two. */
  memalign(alignment: number, size: number): number;
  /** Resizes a block, which may move; allocates one if `p` is 0. */
  realloc(p: number, size: number): number;
  /** Frees a block. */
  free(p: number): unknown;
  /** Writes the block's first and last byte, as the program would. */
  touch(p: number, size: number): void;
  /** The block's bytes; fewer than `size` if the block is not inside the memory. */
  bytes(p: number, size: number): Uint8Array;
  /** Bytes of the allocator's own state, outside the granules of its blocks. */
  stateBytes(): number;
  /**
   * Only of a subject whose pointers are not addresses: bytes that the process holds now. It
   * collects garbage, which is slow; only differences have a meaning.
   */
  heldBytes?(): number;
}

/** The functions of an allocator over one linear memory, under their C names. */
export interface CFunctions {
  /** Allocates `size` bytes. */
  malloc(size: number): number;
  /** Allocates `count * size` bytes that are zero. */
  calloc(count: number, size: number): number;
  /** Allocates `size` bytes at a multiple of `alignment`; undefined if the allocator cannot. */
  memalign?(alignment: number, size: number): number;
  /** Resizes a block, which may move. */
  realloc(p: number, size: number): number;
  /** Frees a block. */
  free(p: number): unknown;
}

/** The alignment that an allocator without memalign guarantees: that of a double. */
const ALIGNMENT_MIN = 8;

/**
 * A subject made of an allocator over linear memory.
 * @param current returns the whole memory as it is now: a memory that grows gets a new buffer.
 * @param stateBytes returns the bytes of the allocator's state.
 * @param aligned whether the trace has memalign. An allocator without it then gets a memalign of
 *   ours, with a table that every free searches; otherwise its functions are called directly.
 */
export function linearSubject(
  functions: CFunctions,
  current: () => Uint8Array,
  stateBytes: () => number,
  aligned: boolean,
): Subject {
  const needsAligned = aligned && functions.memalign === undefined;
  const calls = needsAligned ? withMemalign(functions, current) : functions;
  const { malloc, calloc, realloc, free } = calls;
  const memalign = calls.memalign ?? memalignMissing;
  const touch = linearTouch(current);
  const bytes = (p: number, size: number): Uint8Array => current().subarray(p, p + size);
  return { malloc, calloc, memalign, realloc, free, touch, bytes, stateBytes };
}

function memalignMissing(): never {
  throw new TypeError("the subject was made without memalign: pass aligned as true");
}

/**
 * Writes bytes and not words, so that a block of any size costs two stores in any allocator. The
 * view is renewed only if a block is behind its end (a detached view has length 0), as programs do
 * that keep a view of their memory.
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

/** Adds a memalign to an allocator that has none: it allocates more, and moves the pointer. */
function withMemalign(functions: CFunctions, current: () => Uint8Array): CFunctions {
  const moved = new Map<number, Moved>();
  function memalign(alignment: number, size: number): number {
    if (alignment <= ALIGNMENT_MIN) return functions.malloc(size) >>> 0;
    const base = functions.malloc(size + alignment) >>> 0;
    if (base === 0) return 0;
    const p = Math.ceil(base / alignment) * alignment;
    moved.set(p, { base, size });
    return p;
  }
  function free(p: number): void {
    const { base } = moved.get(p) ?? { base: p };
    moved.delete(p);
    functions.free(base);
  }
  function realloc(p: number, size: number): number {
    const old = moved.get(p);
    if (old === undefined) return functions.realloc(p, size);
    const next = functions.malloc(size) >>> 0;
    if (next === 0) return 0;
    current().copyWithin(next, p, p + Math.min(size, old.size));
    free(p);
    return next;
  }
  return { malloc: functions.malloc, calloc: functions.calloc, memalign, realloc, free };
}
