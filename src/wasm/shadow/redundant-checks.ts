/**
 * What has been checked already: in straight code, a store to where a load has just been needs no
 * second look. Follows which local each operand comes from; forgets everything where code joins.
 */
import type { CodeReader } from "../module/code.ts";
import { op } from "../module/opcodes.ts";

/** How many operands an instruction takes; UNKNOWN empties the stack, JOIN also forgets all. */
const UNKNOWN = 254;
const JOIN = 255;
const takes = new Uint8Array(256).fill(UNKNOWN);
const gives = new Uint8Array(256);

function arity(pops: number, pushes: number, ...ranges: readonly [number, number][]): void {
  for (const [from, to] of ranges) {
    takes.fill(pops, from, to + 1);
    gives.fill(pushes, from, to + 1);
  }
}

arity(1, 1, [0x28, 0x35], [0x45, 0x45], [0x50, 0x50], [0x67, 0x69], [0x79, 0x7b], [0x8b, 0x91]);
arity(1, 1, [0x99, 0x9f], [0xa7, 0xc4]);
arity(2, 1, [0x46, 0x4f], [0x51, 0x66], [0x6a, 0x78], [0x7c, 0x8a], [0x92, 0x98], [0xa0, 0xa6]);
arity(2, 0, [0x36, 0x3e]);
arity(3, 1, [op.select, op.select]);
arity(0, 1, [op.localGet, op.localGet], [op.globalGet, op.globalGet], [0x3f, 0x3f], [0x41, 0x44]);
arity(1, 0, [op.localSet, op.localSet], [op.globalSet, op.globalSet], [op.drop, op.drop]);
arity(1, 0, [op.brIf, op.brIf]);
arity(1, 1, [op.localTee, op.localTee]);
arity(0, 0, [0x01, 0x01]);
// Calls may free; loops, ends and handlers are reached from elsewhere.
for (const code of [op.loop, op.else, op.end, 0x06, 0x07, 0x18, 0x19, op.tryTable]) {
  takes[code] = JOIN;
}
takes.fill(JOIN, op.call, op.returnCallRef + 1);

/** No local: the operand is the result of something. */
const NO_LOCAL = -1;

export class Facts {
  /** Which local each operand is from, and when that local had been set. */
  #locals = new Int32Array(64);
  #times = new Int32Array(64);
  #depth = 0;
  /** When each local was set last; before #start, it was for another function. */
  #setAt = new Int32Array(64);
  #start = 0;
  #clock = 0;
  /** By local and offset: when the local was set, times 32, plus how many bytes were checked. */
  readonly #checked = new Map<number, number>();

  /** Forgets everything: a new function begins. */
  reset(): void {
    this.#start = ++this.#clock;
    this.#join();
  }

  #join(): void {
    this.#depth = 0;
    if (this.#checked.size > 0) this.#checked.clear();
  }

  /** Follows an instruction that is no access, or an access after it has been asked about. */
  follow(at: CodeReader): void {
    const code = at.op;
    const count = code > 0xff ? UNKNOWN : (takes[code] as number);
    if (count >= UNKNOWN) {
      if (count === JOIN) this.#join();
      this.#depth = 0;
      return;
    }
    this.#depth = Math.max(0, this.#depth - count);
    if (code === op.localSet || code === op.localTee) this.#set(at.index);
    if (gives[code] === 0) return;
    if (code === op.localGet || code === op.localTee) this.#push(at.index);
    else this.#push(NO_LOCAL);
  }

  #set(local: number): void {
    if (local >= this.#setAt.length) this.#setAt = larger(this.#setAt, local);
    this.#setAt[local] = ++this.#clock;
  }

  #push(local: number): void {
    if (this.#depth === this.#locals.length) {
      this.#locals = larger(this.#locals, this.#depth);
      this.#times = larger(this.#times, this.#depth);
    }
    this.#locals[this.#depth] = local;
    this.#times[this.#depth++] = Math.max(this.#start, this.#setAt[local] ?? 0);
  }

  /**
   * Whether an access, whose address lies under `operands` others, has been checked; notes that it
   * is checked from now on.
   */
  isChecked(at: CodeReader, operands: number, size: number): boolean {
    const place = this.#depth - 1 - operands;
    const local = place < 0 ? NO_LOCAL : (this.#locals[place] as number);
    if (local === NO_LOCAL) return false;
    const time = this.#times[place] as number;
    const key = local * 2 ** 33 + at.offset;
    const known = this.#checked.get(key) ?? 0;
    if (Math.floor(known / 32) === time && known % 32 >= size) return true;
    this.#checked.set(key, time * 32 + size);
    return false;
  }
}

function larger(items: Int32Array<ArrayBuffer>, least: number): Int32Array<ArrayBuffer> {
  const copy = new Int32Array(Math.max(items.length * 2, least + 1));
  copy.set(items);
  return copy;
}
