/** No allocator: a `new Uint8Array` for each block, as in programs without a heap. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Subject } from "./subject.ts";

/** A pointer is the index in a table of arrays, as a program would have it. */
export function typedArraySubject(): Subject {
  const blocks: (Uint8Array | undefined)[] = [undefined];
  const spare: number[] = [];
  function malloc(size: number): number {
    const block = blockCreate(size);
    if (block === undefined) return 0;
    const p = spare.pop() ?? blocks.length;
    blocks[p] = block;
    return p;
  }
  function realloc(p: number, size: number): number {
    const old = blocks[p];
    if (old === undefined) return malloc(size);
    const block = blockCreate(size);
    if (block === undefined) return 0;
    block.set(old.length > size ? old.subarray(0, size) : old);
    blocks[p] = block;
    return p;
  }
  function free(p: number): void {
    if (blocks[p] === undefined) return;
    blocks[p] = undefined;
    spare.push(p);
  }
  function touch(p: number, size: number): void {
    if (size === 0) return;
    const block = blocks[p] as Uint8Array;
    block[0] = 1;
    block[size - 1] = 1;
  }
  return {
    malloc,
    calloc: (count, size) => malloc(count * size),
    // Blocks have no address, so alignment has no meaning.
    memalign: (_alignment, size) => malloc(size),
    realloc,
    free,
    touch,
    bytes: (p) => blocks[p] ?? new Uint8Array(0),
    stateBytes: () => 0,
    heldBytes,
  };
}

function blockCreate(size: number): Uint8Array | undefined {
  try {
    return new Uint8Array(size);
  } catch {
    return undefined;
  }
}

/**
 * Bytes of live JavaScript objects and of their array buffers. The difference between the peak of a
 * trace and its start is the least that its live blocks hold: a program holds more, with garbage
 * that is not collected yet, and with what the engine's C allocator loses.
 */
function heldBytes(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

let collector: (() => void) | undefined;

function collect(): void {
  if (collector === undefined) {
    setFlagsFromString("--expose-gc");
    collector = runInNewContext("gc") as () => void;
  }
  // Twice: buffers are no longer counted only after the arrays that own them were collected.
  collector();
  collector();
}
