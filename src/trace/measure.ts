/** The pass that is not timed: how much memory a trace takes, and whether every block is sound. */
import { Granules } from "./granules.ts";
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
  const run = new MeasureRun(trace, subject);
  try {
    return run.play();
  } catch (error) {
    const fault = error instanceof Error ? error.message : String(error);
    throw new ReplayError(`${trace.file}: ${name}: operation ${run.operation}: ${fault}`);
  }
}

class MeasureRun {
  /** From 1 on, as the trace's lines without comments and thread lines. */
  operation = 0;
  readonly #trace: Trace;
  readonly #subject: Subject;
  readonly #granules = new Granules();
  readonly #pointers: Uint32Array;
  readonly #sizes: Uint32Array;
  /** ID of the slot's live block, 0 = none. */
  readonly #ids: Uint32Array;
  readonly #heldAtStart: number;
  #nextId = 1;
  #heldBytes = 0;
  #liveBytes = 0;
  #peakLiveBytes = 0;

  constructor(trace: Trace, subject: Subject) {
    const { slots } = trace.facts;
    this.#trace = trace;
    this.#subject = subject;
    this.#pointers = new Uint32Array(slots);
    this.#sizes = new Uint32Array(slots);
    this.#ids = new Uint32Array(slots);
    this.#heldAtStart = subject.heldBytes?.() ?? 0;
  }

  play(): Measure {
    const { records, facts } = this.#trace;
    for (let record = 0; record < records.length / RECORD_WORDS; record++) {
      this.#step(records, record * RECORD_WORDS);
      if (record === facts.peakRecord) this.#heldRead();
    }
    this.#ids.forEach((id, slot) => {
      if (id !== 0) this.#leave(slot);
    });
    return { peakBytes: this.#peakBytes(), peakLiveBytes: this.#peakLiveBytes };
  }

  #peakBytes(): number {
    if (this.#subject.heldBytes !== undefined) return this.#heldBytes;
    return this.#granules.bytes + this.#subject.stateBytes();
  }

  #heldRead(): void {
    const now = this.#subject.heldBytes?.() ?? 0;
    this.#heldBytes = now - this.#heldAtStart;
  }

  #step(records: Uint32Array, at: number): void {
    const kind = records[at];
    const slot = records[at + 1] as number;
    const a = records[at + 2] as number;
    const b = records[at + 3] as number;
    if (kind === THREAD) return;
    this.operation++;
    const subject = this.#subject;
    if (kind === MALLOC) this.#enter(slot, subject.malloc(a) >>> 0, a, alignmentOf(a));
    if (kind === MEMALIGN) this.#enter(slot, subject.memalign(a, b) >>> 0, b, a);
    if (kind === CALLOC) this.#enterZero(slot, subject.calloc(a, b) >>> 0, a * b);
    if (kind === REALLOC) this.#move(slot, a);
    if (kind === FREE) this.#leave(slot);
  }

  #enterZero(slot: number, p: number, size: number): void {
    const id = this.#nextId;
    if (p !== 0 && !bytesAreZero(this.#subject.bytes(p, size))) {
      throw new Error(`block ${id} of calloc is not zero`);
    }
    this.#enter(slot, p, size, alignmentOf(size));
  }

  #enter(slot: number, p: number, size: number, alignment: number): void {
    const id = this.#nextId++;
    const block = this.#blockTake(id, p, size);
    const addressed = this.#subject.heldBytes === undefined;
    if (addressed && p % alignment !== 0) {
      throw new Error(`block ${id} at address ${p} is not aligned to ${alignment}`);
    }
    if (addressed) this.#granules.cover(p, size);
    patternWrite(block, id);
    this.#pointers[slot] = p;
    this.#sizes[slot] = size;
    this.#ids[slot] = id;
    this.#liveBytes += size;
    this.#peakLiveBytes = Math.max(this.#peakLiveBytes, this.#liveBytes);
  }

  #blockTake(id: number, p: number, size: number): Uint8Array {
    if (p === 0 && size > 0) throw new Error(`out of memory for block ${id} of ${size} bytes`);
    const block = this.#subject.bytes(p, size);
    if (block.length !== size) throw new Error(`block ${id} does not lie in the memory`);
    return block;
  }

  #move(slot: number, size: number): void {
    const id = this.#ids[slot] as number;
    const old = this.#sizes[slot] as number;
    if (id !== 0) this.#check(slot);
    const p = this.#subject.realloc(id === 0 ? 0 : (this.#pointers[slot] as number), size) >>> 0;
    if (id !== 0) {
      const block = this.#blockTake(this.#nextId, p, size);
      if (!patternIsWhole(block, id, old)) throw new Error(`realloc lost bytes of block ${id}`);
      this.#liveBytes -= old;
    }
    this.#enter(slot, p, size, alignmentOf(size));
  }

  #leave(slot: number): void {
    this.#check(slot);
    this.#subject.free(this.#pointers[slot] as number);
    this.#liveBytes -= this.#sizes[slot] as number;
    this.#ids[slot] = 0;
  }

  #check(slot: number): void {
    const id = this.#ids[slot] as number;
    const size = this.#sizes[slot] as number;
    const block = this.#subject.bytes(this.#pointers[slot] as number, size);
    if (patternIsWhole(block, id, size)) return;
    throw new Error(`the contents of block ${id} were overwritten`);
  }
}
