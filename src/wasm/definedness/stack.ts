/**
 * The operand stack while code is rewritten: for every operand the local with its undefined bits,
 * if it has some; the local with their origin; and how to get its value again.
 */

import { nameByType } from "../module/locals.ts";
import { op } from "../module/opcodes.ts";
import { I32 } from "../module/value-types.ts";
import type { CodeWriter } from "../module/writer.ts";
import { bitsType } from "./bits.ts";

/** Instead of a local: no bit is undefined. */
export const DEFINED = -1;
/** Instead of a local: there is none. */
export const NONE = -1;

const valueName = nameByType("value of an operand");
/** By depth. */
const bitsName = nameByType("undefined bits of an operand");
/** By the local that they belong to. */
const localBitsName = nameByType("undefined bits of a local");

/** An operand. */
export interface Slot {
  readonly type: number;
  /** The local with its undefined bits, or DEFINED. */
  bits: number;
  /** The local with the origin: the address where undefined bits were read first. */
  origin: number;
  /** A local that has its value, or NONE. */
  value: number;
  /** Of a constant: the first byte of its instruction in the original, and the one behind. */
  readonly constant?: readonly [number, number];
  /** Of i32.const: the number. */
  readonly number?: number | undefined;
  /** The operand is the stack pointer. */
  readonly isStackPointer?: boolean | undefined;
}

export class ShadowStack {
  readonly slots: Slot[] = [];
  code: CodeWriter;
  readonly #bytes: Uint8Array;
  readonly #origins = new Set<number>();

  constructor(bytes: Uint8Array, code: CodeWriter) {
    this.#bytes = bytes;
    this.code = code;
  }

  get depth(): number {
    return this.slots.length;
  }

  /** The local for the undefined bits of an operand of this type at this depth. */
  bitsLocal(type: number, depth: number): number {
    const bits = bitsType(type);
    return this.code.local(bitsName(bits), bits, depth);
  }

  originLocal(depth: number): number {
    return this.code.local("origin of an operand", I32, depth);
  }

  /** The local for the undefined bits of local `index`. */
  ofLocal(type: number, index: number): number {
    const bits = bitsType(type);
    return this.code.local(localBitsName(bits), bits, index);
  }

  originOfLocal(index: number): number {
    const local = this.code.local("origin of a local", I32, index);
    this.#origins.add(local);
    return local;
  }

  /** Whether an origin belongs to a local: it stays until the local changes. */
  isOfLocal(origin: number): boolean {
    return this.#origins.has(origin);
  }

  push(slot: Partial<Slot> & { readonly type: number }): void {
    this.slots.push({ bits: DEFINED, origin: NONE, value: NONE, ...slot });
  }

  /** Pushes an operand whose undefined bits are in the locals for its depth. */
  pushOwn(type: number): void {
    const { depth } = this;
    if (bitsType(type) === 0) this.push({ type });
    else this.push({ type, bits: this.bitsLocal(type, depth), origin: this.originLocal(depth) });
  }

  pop(): Slot {
    return this.slots.pop() as Slot;
  }

  /** Writes code that pushes the undefined bits of an operand. */
  bitsPush(slot: Slot): void {
    if (slot.bits !== DEFINED) this.code.get(slot.bits);
    else if (bitsType(slot.type) === I32) this.code.const(0);
    else this.code.const64(0n);
  }

  originPush(slot: Slot): void {
    if (slot.origin === NONE) this.code.const(0);
    else this.code.get(slot.origin);
  }

  /** Writes code that pushes an i32, which is 0 if all bits are defined. */
  flagPush(slot: Slot): void {
    this.bitsPush(slot);
    if (bitsType(slot.type) !== I32) this.code.op(op.i64Eqz, op.i32Eqz);
  }

  /** The same for several operands. */
  flagsPush(slots: readonly Slot[]): void {
    slots.forEach((slot, i) => {
      this.flagPush(slot);
      if (i > 0) this.code.op(op.i32Or);
    });
  }

  valuePush(slot: Slot): void {
    if (slot.constant) this.code.copy(this.#bytes, ...slot.constant);
    else this.code.get(slot.value);
  }

  /** Makes sure that the values of the topmost operands can be pushed again. */
  valuesKeep(count: number): void {
    const top = this.slots.slice(this.depth - count);
    if (top.every((slot) => slot.constant || slot.value !== NONE)) return;
    for (let i = top.length - 1; i >= 0; i--) {
      const slot = top[i] as Slot;
      if (!slot.constant) slot.value = this.code.local(valueName(slot.type), slot.type, i);
      if (slot.constant) this.code.op(op.drop);
      else this.code.set(slot.value);
    }
    for (const slot of top) this.valuePush(slot);
  }

  /** Moves the undefined bits of an operand into the locals of another depth. */
  moveTo(slot: Slot, depth: number): void {
    if (bitsType(slot.type) === 0) return;
    const [bits, origin] = [this.bitsLocal(slot.type, depth), this.originLocal(depth)];
    if (slot.bits !== bits) {
      this.bitsPush(slot);
      this.code.set(bits);
    }
    if (slot.bits === DEFINED || slot.origin === origin) return;
    this.originPush(slot);
    this.code.set(origin);
  }

  /** Moves the undefined bits of the operand at this depth into the locals of this depth. */
  settle(depth: number): void {
    const slot = this.slots[depth] as Slot;
    if (bitsType(slot.type) === 0) return;
    this.moveTo(slot, depth);
    slot.bits = this.bitsLocal(slot.type, depth);
    slot.origin = this.originLocal(depth);
  }

  /** A local is about to change: operands that refer to it must keep its former value. */
  localLeaves(index: number, bits: number, origin: number): void {
    this.slots.forEach((slot, depth) => {
      if (slot.value === index) slot.value = NONE;
      if (slot.bits === DEFINED) return;
      if (slot.bits === bits || slot.origin === origin) this.settle(depth);
    });
  }
}
