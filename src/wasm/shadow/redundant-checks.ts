/**
 * Which accesses have been checked already: in straight code, a store to an address that has just
 * been loaded from needs no second check. Follows which local each operand comes from, and forgets
 * everything where control may arrive from elsewhere.
 */
import type { CodeReader } from "../module/code.ts";
import { CALLS, JOINS } from "../module/opcode-row.ts";
import { byteValues, op } from "../module/opcodes.ts";

/** In the place of a number: the operands are not known any more; JOIN also forgets all checks. */
const UNKNOWN = 254;
const JOIN = 255;

/** How many operands each instruction of one byte takes. Calls count as JOIN: they may free. */
const takes = Uint8Array.from(
  byteValues(({ control, pops }) => (control & (JOINS | CALLS) ? JOIN : (pops?.length ?? UNKNOWN))),
);
const gives = Uint8Array.from(byteValues(({ pushes }) => pushes?.length ?? 0));

/** The operand does not come from a local. */
const NO_LOCAL = -1;

export class CheckedAccesses {
  /** Which local each operand comes from, and when that local was set. */
  #locals = new Int32Array(64);
  #times = new Int32Array(64);
  #depth = 0;
  /** When each local was last set; before #start, that was in another function. */
  #setAt = new Int32Array(64);
  #start = 0;
  #clock = 0;
  /** By local and offset: when the local was set, times 32, plus the bytes that were checked. */
  readonly #checked = new Map<number, number>();

  /** Starts a new function. */
  reset(): void {
    this.#start = ++this.#clock;
    this.#join();
  }

  #join(): void {
    this.#depth = 0;
    if (this.#checked.size > 0) this.#checked.clear();
  }

  /** Follows an instruction; an access after `isChecked` was called for it. */
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
   * Whether an access of so many bytes has been checked; from now on it counts as checked. Its
   * address is below `operands` others.
   */
  isChecked(at: CodeReader, operands: number, size: number): boolean {
    const depth = this.#depth - 1 - operands;
    const local = depth < 0 ? NO_LOCAL : (this.#locals[depth] as number);
    if (local === NO_LOCAL) return false;
    const time = this.#times[depth] as number;
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
