/** The pass that is not timed: how much memory a trace takes, and whether every block is sound. */
import { type LiveBlocks, liveBlocksCreate } from "./live-blocks.ts";
import type { Trace } from "./ops.ts";
import { CALLOC, FREE, MALLOC, MEMALIGN, REALLOC, RECORD_WORDS, THREAD } from "./ops.ts";
import { bytesAreZero, patternIsWhole, patternWrite } from "./pattern.ts";
import type { Subject } from "./subject.ts";

/** An allocator that did not serve a trace. Its message is `FILE: ALLOCATOR: … what happened`. */
export class ReplayError extends Error {
  override readonly name = "ReplayError";
}

export interface Measure {
  /**
   * Bytes that were ever handed to a block, in granules of 4 KiB, and the allocator's own state.
   * Of a subject without addresses: bytes that its live blocks hold at the trace's peak.
   */
  readonly peakBytes: number;
  /** Peak of live requested bytes. */
  readonly peakLiveBytes: number;
  /** Only of a pass with the trace's threads: how many there were. */
  readonly threads?: number;
}

/** What C promises of a block for which no alignment was asked: that of the largest type in it. */
function alignmentOf(size: number): number {
  return size < 8 ? 1 : 8;
}

/**
 * Plays the trace once, with a pattern in every block that is looked at when the block is freed or
 * reallocated and at the end.
 * @throws ReplayError on the first block that is not as it should be, and when memory runs out.
 */
export function measureRun(trace: Trace, name: string, subject: Subject): Measure {
  const { records, facts } = trace;
  const books = liveBlocksCreate(facts.slots);
  let nextId = 1;
  const run = new MeasureRun(subject, books, () => nextId++);
  const held = () => subject.heldBytes?.() ?? 0;
  const heldAtStart = held();
  try {
    run.play(records, 0, facts.peakRecord + 1);
    const heldBytes = held() - heldAtStart;
    run.play(records, facts.peakRecord + 1, records.length / RECORD_WORDS);
    run.leaveAll(0, 1);
    const handed = books.granules.bytes + subject.stateBytes();
    const peakBytes = subject.heldBytes === undefined ? handed : heldBytes;
    return { peakBytes, peakLiveBytes: books.live.peak };
  } catch (error) {
    const fault = error instanceof Error ? error.message : String(error);
    throw new ReplayError(`${trace.file}: ${name}: operation ${run.operation}: ${fault}`);
  }
}

/** One thread's operations on a subject, each looked at. Throws on the first that is not right. */
export class MeasureRun {
  /** From 1 on, as the trace's lines without comments and thread lines. */
  operation = 0;
  readonly #subject: Subject;
  readonly #books: LiveBlocks;
  readonly #idNext: () => number;

  /** @param idNext the ID of the block that comes next. */
  constructor(subject: Subject, books: LiveBlocks, idNext: () => number) {
    this.#subject = subject;
    this.#books = books;
    this.#idNext = idNext;
  }

  /** Plays the records [from, to). */
  play(records: Uint32Array, from: number, to: number): void {
    for (let record = from; record < to; record++) this.#step(records, record * RECORD_WORDS);
  }

  /** Frees what is live in every `stride`th slot from `first` on. */
  leaveAll(first: number, stride: number): void {
    const { ids } = this.#books;
    for (let slot = first; slot < ids.length; slot += stride) {
      if (ids[slot] !== 0) this.#leave(slot);
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
      this.#leave(slot);
      return;
    }
    const subject = this.#subject;
    const id = this.#idNext();
    if (kind === MALLOC) this.#enter(id, slot, subject.malloc(a) >>> 0, a, alignmentOf(a));
    if (kind === MEMALIGN) this.#enter(id, slot, subject.memalign(a, b) >>> 0, b, a);
    if (kind === CALLOC) this.#enterZero(id, slot, subject.calloc(a, b) >>> 0, a * b);
    if (kind === REALLOC) this.#move(id, slot, a);
  }

  #enterZero(id: number, slot: number, p: number, size: number): void {
    if (p !== 0 && !bytesAreZero(this.#subject.bytes(p, size))) {
      throw new Error(`block ${id} of calloc is not zero`);
    }
    this.#enter(id, slot, p, size, alignmentOf(size));
  }

  #enter(id: number, slot: number, p: number, size: number, alignment: number): void {
    const { pointers, sizes, ids, granules, live } = this.#books;
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
    if (block.length !== size) throw new Error(`block ${id} does not lie in the memory`);
    return block;
  }

  #move(id: number, slot: number, size: number): void {
    const { pointers, sizes, ids, live } = this.#books;
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
    this.#enter(id, slot, p, size, alignmentOf(size));
  }

  #leave(slot: number): void {
    const { pointers, sizes, ids, live } = this.#books;
    this.#check(slot);
    this.#subject.free(pointers[slot] as number);
    live.change(-(sizes[slot] as number));
    ids[slot] = 0;
  }

  #check(slot: number): void {
    const { pointers, sizes, ids } = this.#books;
    const size = sizes[slot] as number;
    const block = this.#subject.bytes(pointers[slot] as number, size);
    if (patternIsWhole(block, ids[slot] as number, size)) return;
    throw new Error(`the contents of block ${ids[slot]} were overwritten`);
  }
}
