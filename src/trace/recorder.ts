/** Makes the records of a trace from its operations, and keeps the live blocks. */

import type { Trace, TraceFacts } from "./ops.ts";
import { FREE, MEMALIGN, REALLOC, RECORD_WORDS, THREAD } from "./ops.ts";

const START_WORDS = 1 << 12;

/** An array of u32 that grows. number[] takes twice the memory, and boxes large values. */
class Words {
  items = new Uint32Array(START_WORDS);
  length = 0;

  push(value: number): void {
    if (this.length === this.items.length) this.#grow();
    this.items[this.length++] = value;
  }

  #grow(): void {
    const larger = new Uint32Array(this.items.length * 2);
    larger.set(this.items);
    this.items = larger;
  }
}

/** The caller has checked that IDs are new, or live with `idIsLive`. */
export class Recorder {
  readonly #records = new Words();
  /** Slot + 1 of a live ID; 0 if the block was freed. Entry 0 is not used. */
  readonly #slots = new Words();
  readonly #sizes = new Words();
  readonly #freeSlots: number[] = [];
  readonly #threads = new Set([0]);
  #operations = 0;
  #liveBytes = 0;
  #peakLiveBytes = 0;
  #peakRecord = 0;
  #aligned = false;

  constructor() {
    this.#slots.push(0);
  }

  /** The ID that a new block must have. */
  get nextId(): number {
    return this.#slots.length;
  }

  idIsLive(id: number): boolean {
    return id < this.#slots.length && this.#slots.items[id] !== 0;
  }

  /** @param size of the whole block, in bytes. */
  allocate(kind: number, a: number, b: number, size: number): void {
    const slot = this.#freeSlots.pop() ?? this.#sizes.length;
    if (slot === this.#sizes.length) this.#sizes.push(0);
    if (kind === MEMALIGN) this.#aligned = true;
    this.#settle(kind, slot, a, b, size);
  }

  reallocate(old: number, size: number): void {
    if (old === 0) this.allocate(REALLOC, size, 0, size);
    else this.#settle(REALLOC, this.#forget(old), size, 0, size);
  }

  free(id: number): void {
    const slot = this.#forget(id);
    this.#record(FREE, slot, 0, 0);
    this.#freeSlots.push(slot);
    this.#operations++;
  }

  /** Not an operation: the allocator is not called. */
  thread(n: number): void {
    this.#threads.add(n);
    this.#record(THREAD, n, 0, 0);
  }

  finish(file: string): Trace {
    const records = this.#records.items.slice(0, this.#records.length);
    return { file, records, facts: this.#facts() };
  }

  get operations(): number {
    return this.#operations;
  }

  #facts(): TraceFacts {
    const slots = this.#sizes.length;
    return {
      operations: this.#operations,
      allocations: this.#slots.length - 1,
      threads: this.#threads.size,
      peakLiveBytes: this.#peakLiveBytes,
      peakRecord: this.#peakRecord,
      liveAtEnd: slots - this.#freeSlots.length,
      slots,
      aligned: this.#aligned,
    };
  }

  #settle(kind: number, slot: number, a: number, b: number, size: number): void {
    this.#slots.push(slot + 1);
    this.#sizes.items[slot] = size;
    this.#liveBytes += size;
    if (this.#liveBytes > this.#peakLiveBytes) {
      this.#peakLiveBytes = this.#liveBytes;
      this.#peakRecord = this.#records.length / RECORD_WORDS;
    }
    this.#record(kind, slot, a, b);
    this.#operations++;
  }

  #forget(id: number): number {
    const slot = (this.#slots.items[id] as number) - 1;
    this.#slots.items[id] = 0;
    this.#liveBytes -= this.#sizes.items[slot] as number;
    return slot;
  }

  #record(kind: number, slot: number, a: number, b: number): void {
    this.#records.push(kind);
    this.#records.push(slot);
    this.#records.push(a);
    this.#records.push(b);
  }
}
