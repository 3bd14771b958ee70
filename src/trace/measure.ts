/** The pass that is not timed: measures the memory that a trace takes, and checks every block. */
import { type LiveBlocks, liveBlocksCreate } from "./live-blocks.ts";
import type { Trace } from "./ops.ts";
import { CALLOC, FREE, MALLOC, MEMALIGN, REALLOC, RECORD_WORDS, THREAD } from "./ops.ts";
import { bytesAreZero, patternIsWhole, patternWrite } from "./pattern.ts";
import type { Subject } from "./subject.ts";

/** An allocator failed on a trace. The message is `FILE: ALLOCATOR: … what happened`. */
export class ReplayError extends Error {
  override readonly name = "ReplayError";
}

/** The memory that a trace takes on an allocator. */
export interface Measure {
  /**
   * Bytes that were ever part of a block, in granules of 4 KiB, and the allocator's own state. For
   * a subject without addresses: bytes that its live blocks hold at the trace's peak.
   */
  readonly peakBytes: number;
  /** Peak of the requested bytes of live blocks. */
  readonly peakLiveBytes: number;
  /** How many threads there were; undefined if the pass ran on one thread. */
  readonly threads?: number;
}

/** The alignment that C guarantees without a request: that of the largest type that fits. */
function alignmentOf(size: number): number {
  return size < 8 ? 1 : 8;
}

/**
 * Plays the trace once. Writes a pattern in every block, and checks it when the block is freed or
 * reallocated, and at the end.
 * @throws ReplayError for the first block that is wrong, and if there is no memory.
 */
export function measureRun(trace: Trace, name: string, subject: Subject): Measure {
  const { records, facts } = trace;
  const blocks = liveBlocksCreate(facts.slots);
  let nextId = 1;
  const run = new MeasureRun(subject, blocks, () => nextId++);
  const held = () => subject.heldBytes?.() ?? 0;
  const heldAtStart = held();
  try {
    run.play(records, 0, facts.peakRecord + 1);
    const heldBytes = held() - heldAtStart;
    run.play(records, facts.peakRecord + 1, records.length / RECORD_WORDS);
    run.freeAll(0, 1);
    const handed = blocks.granules.bytes + subject.stateBytes();
    const peakBytes = subject.heldBytes === undefined ? handed : heldBytes;
    return { peakBytes, peakLiveBytes: blocks.live.peak };
  } catch (error) {
    const fault = error instanceof Error ? error.message : String(error);
    throw new ReplayError(`${trace.file}: ${name}: operation ${run.operation}: ${fault}`);
  }
}

/** Plays the operations of one thread, and checks each. Throws for the first that is wrong. */
export class MeasureRun {
  /** The number of the operation, from 1; comments and thread lines do not count. */
  operation = 0;
  readonly #subject: Subject;
  readonly #blocks: LiveBlocks;
  readonly #idNext: () => number;

  /** @param idNext returns the ID of the next block. */
  constructor(subject: Subject, blocks: LiveBlocks, idNext: () => number) {
    this.#subject = subject;
    this.#blocks = blocks;
    this.#idNext = idNext;
  }

  /** Plays the records [from, to). */
  play(records: Uint32Array, from: number, to: number): void {
    for (let record = from; record < to; record++) this.#step(records, record * RECORD_WORDS);
  }

  /** Frees the live block of every `stride`th slot from `first` on. */
  freeAll(first: number, stride: number): void {
    const { ids } = this.#blocks;
    for (let slot = first; slot < ids.length; slot += stride) {
      if (ids[slot] !== 0) this.#free(slot);
    }
  }

  #step(records: Uint32Array, at: number): void {
    const kind = records[at];
    const slot = records[at + 1] as number;
    const a = records[at + 2] as number;
    const b = records[at + 3] as number;
    if (kind === THREAD) return;
    this.operation++;
    if (kind === FREE) {
      this.#free(slot);
      return;
    }
    const subject = this.#subject;
    const id = this.#idNext();
    if (kind === MALLOC) this.#allocate(id, slot, subject.malloc(a) >>> 0, a, alignmentOf(a));
    if (kind === MEMALIGN) this.#allocate(id, slot, subject.memalign(a, b) >>> 0, b, a);
    if (kind === CALLOC) this.#allocateZero(id, slot, subject.calloc(a, b) >>> 0, a * b);
    if (kind === REALLOC) this.#reallocate(id, slot, a);
  }

  #allocateZero(id: number, slot: number, p: number, size: number): void {
    if (p !== 0 && !bytesAreZero(this.#subject.bytes(p, size))) {
      throw new Error(`block ${id} of calloc is not zero`);
    }
    this.#allocate(id, slot, p, size, alignmentOf(size));
  }

  #allocate(id: number, slot: number, p: number, size: number, alignment: number): void {
    const { pointers, sizes, ids, granules, live } = this.#blocks;
    const block = this.#blockTake(id, p, size);
    const addressed = this.#subject.heldBytes === undefined;
    if (addressed && p % alignment !== 0) {
      throw new Error(`block ${id} at address ${p} is not aligned to ${alignment}`);
    }
    if (addressed) granules.cover(p, size);
    patternWrite(block, id);
    pointers[slot] = p;
    sizes[slot] = size;
    ids[slot] = id;
    live.change(size);
  }

  #blockTake(id: number, p: number, size: number): Uint8Array {
    if (p === 0 && size > 0) throw new Error(`out of memory for block ${id} of ${size} bytes`);
    const block = this.#subject.bytes(p, size);
    if (block.length !== size) throw new Error(`block ${id} is not inside the memory`);
    return block;
  }

  #reallocate(id: number, slot: number, size: number): void {
    const { pointers, sizes, ids, live } = this.#blocks;
    const oldId = ids[slot] as number;
    const oldSize = sizes[slot] as number;
    if (oldId !== 0) this.#check(slot);
    const p = this.#subject.realloc(oldId === 0 ? 0 : (pointers[slot] as number), size) >>> 0;
    if (oldId !== 0) {
      const block = this.#blockTake(id, p, size);
      if (!patternIsWhole(block, oldId, oldSize)) {
        throw new Error(`realloc lost bytes of block ${oldId}`);
      }
      live.change(-oldSize);
    }
    this.#allocate(id, slot, p, size, alignmentOf(size));
  }

  #free(slot: number): void {
    const { pointers, sizes, ids, live } = this.#blocks;
    this.#check(slot);
    this.#subject.free(pointers[slot] as number);
    live.change(-(sizes[slot] as number));
    ids[slot] = 0;
  }

  #check(slot: number): void {
    const { pointers, sizes, ids } = this.#blocks;
    const size = sizes[slot] as number;
    const block = this.#subject.bytes(pointers[slot] as number, size);
    if (patternIsWhole(block, ids[slot] as number, size)) return;
    throw new Error(`the contents of block ${ids[slot]} were overwritten`);
  }
}
