/**
 * A trace divided into the parts of its threads, which are played at the same time.
 *
 * Each part has the trace's order; between the parts only the order of operations on one block is
 * kept. Here a block has its slot for the whole trace, with all its reallocations. In a trace as it
 * was read, slots are used again, also by another thread, which would add an order that the program
 * does not have.
 *
 * Where a block passes from one thread to another, the first part has a tell after its last
 * operation on the block, and the second part an await before its first. The slot's word in a
 * shared table then contains how many operations on the block are done.
 *
 *   step   at  kind  slot  count
 *          |   |           the value that the slot's word is set to, or must have reached
 *          |   TELL or AWAIT
 *          how many records of the part come before
 */

import type { Trace } from "./ops.ts";
import { FREE, REALLOC, RECORD_WORDS, THREAD } from "./ops.ts";

export const SIGNAL = 0;
export const AWAIT = 1;

/** u32 fields of a step. */
export const STEP_WORDS = 4;

/** The operations of one thread. */
export interface Part {
  /** Its number in the trace. */
  readonly thread: number;
  /** As in a trace, without thread records. */
  readonly records: Uint32Array;
  /** IDs of the blocks that it allocates, in order. */
  readonly ids: Uint32Array;
  readonly steps: Uint32Array;
}

export interface Plan {
  /** The part of every thread that has an operation, in the order of their first operations. */
  readonly parts: readonly Part[];
  readonly slots: number;
}

interface Step {
  readonly at: number;
  readonly kind: number;
  readonly slot: number;
  readonly count: number;
}

/** A part that is being made. */
class Draft {
  readonly thread: number;
  readonly records: number[] = [];
  readonly ids: number[] = [];
  readonly steps: Step[] = [];

  constructor(thread: number) {
    this.thread = thread;
  }

  get length(): number {
    return this.records.length / RECORD_WORDS;
  }

  finish(): Part {
    // A tell belongs to the record before it, an await to the one behind it.
    const steps = this.steps.sort((a, b) => a.at - b.at || a.kind - b.kind);
    return {
      thread: this.thread,
      records: Uint32Array.from(this.records),
      ids: Uint32Array.from(this.ids),
      steps: Uint32Array.from(
        steps.flatMap(({ at, kind, slot, count }) => [at, kind, slot, count]),
      ),
    };
  }
}

/** The operations on a block so far. */
interface Life {
  readonly slot: number;
  draft: Draft;
  /** How many records of the draft there are up to the last operation on the block. */
  at: number;
  operations: number;
}

export function planCreate(trace: Trace): Plan {
  const planner = new Planner();
  const { records } = trace;
  for (let at = 0; at < records.length; at += RECORD_WORDS) {
    planner.take(records.subarray(at, at + RECORD_WORDS));
  }
  return planner.finish();
}

class Planner {
  readonly #drafts = new Map<number, Draft>();
  /** By the trace's slots. */
  readonly #lives = new Map<number, Life>();
  #thread = 0;
  #slots = 0;
  #nextId = 1;

  take(record: Uint32Array): void {
    const [kind, slot] = record as unknown as [number, number];
    if (kind === THREAD) this.#thread = slot;
    else this.#operation(this.#draft(), record, kind, slot);
  }

  finish(): Plan {
    const parts = [...this.#drafts.values()].map((draft) => draft.finish());
    return { parts, slots: this.#slots };
  }

  #draft(): Draft {
    const known = this.#drafts.get(this.#thread);
    if (known !== undefined) return known;
    const draft = new Draft(this.#thread);
    this.#drafts.set(this.#thread, draft);
    return draft;
  }

  #operation(draft: Draft, record: Uint32Array, kind: number, slot: number): void {
    const old = kind === FREE || kind === REALLOC ? this.#lives.get(slot) : undefined;
    const life = old ?? this.#lifeBegin(draft, slot);
    if (life.draft !== draft) handOver(life, draft);
    if (kind === FREE) this.#lives.delete(slot);
    else draft.ids.push(this.#nextId++);
    draft.records.push(kind, life.slot, record[2] as number, record[3] as number);
    life.at = draft.length;
    life.operations++;
  }

  #lifeBegin(draft: Draft, slot: number): Life {
    const life: Life = { slot: this.#slots++, draft, at: 0, operations: 0 };
    this.#lives.set(slot, life);
    return life;
  }
}

function handOver(life: Life, to: Draft): void {
  const { slot, operations: count } = life;
  life.draft.steps.push({ at: life.at, kind: SIGNAL, slot, count });
  to.steps.push({ at: to.length, kind: AWAIT, slot, count });
  life.draft = to;
}
