/**
 * What has been checked already: in straight code, a store to where a load has just been needs no
 * second look. Follows which local each operand comes from; forgets everything where code joins.
 */
import type { CodeReader } from "../module/code.ts";
import { CALLS, JOINS } from "../module/opcode-row.ts";
import { byteValues, op } from "../module/opcodes.ts";

/** Not so many operands, but: the stack is not known any more; JOIN also forgets all. */
const UNKNOWN = 254;
const JOIN = 255;

/** How many operands each instruction of one byte takes. Calls may free. */
const takes = Uint8Array.from(
  byteValues(({ control, pops }) => (control & (JOINS | CALLS) ? JOIN : (pops?.length ?? UNKNOWN))),
);
const gives = Uint8Array.from(byteValues(({ pushes }) => pushes?.length ?? 0));

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
