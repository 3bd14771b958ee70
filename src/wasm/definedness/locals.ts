/** The locals of a function: which may have undefined bits, and which have none at this point. */
import { bitsType } from "./bits.ts";
import { DEFINED, NONE, type ShadowStack, type Slot } from "./stack.ts";

/** Facts about a function that are found before its code is written. */
export interface FunctionFacts {
  /** Types of its parameters and locals. */
  readonly types: readonly number[];
  /** 1 for each local that may have undefined bits anywhere. */
  readonly maybe: Uint8Array;
  /** By the offset of a loop: the locals that are set in it. */
  readonly loops: ReadonlyMap<number, ReadonlySet<number>>;
}

/** What was known when a block began. */
export interface Known {
  readonly defined: Uint8Array;
  readonly time: number;
}

export class Locals {
  readonly facts: FunctionFacts;
  readonly #stack: ShadowStack;
  /** 1 for each local that has no undefined bits here, on every path. */
  #defined: Uint8Array;
  readonly #setAt: Int32Array;
  #time = 0;
  /** Locals that are known to hold a constant or the stack pointer, in straight code. */
  readonly #held = new Map<number, Pick<Slot, "number" | "isStackPointer">>();
  /** Whether a local was found that may have undefined bits and was not known to. */
  isChanged = false;

  constructor(stack: ShadowStack, facts: FunctionFacts) {
    this.#stack = stack;
    this.facts = facts;
    this.#defined = new Uint8Array(facts.types.length);
    this.#setAt = new Int32Array(facts.types.length);
  }

  /** Pushes the operand that local.get leaves. */
  get(index: number): void {
    const { types, maybe } = this.facts;
    const type = types[index] as number;
    const held = this.#held.get(index);
    if (maybe[index] === 0 || this.#defined[index] === 1 || bitsType(type) === 0) {
      this.#stack.push({ type, value: index, ...held });
    } else {
      const bits = this.#stack.ofLocal(type, index);
      const origin = this.#stack.originOfLocal(index);
      this.#stack.push({ type, value: index, bits, origin, ...held });
    }
  }

  set(index: number, slot: Slot): void {
    const { types, maybe } = this.facts;
    const type = types[index] as number;
    this.#setAt[index] = ++this.#time;
    this.#hold(index, slot);
    if (slot.bits !== DEFINED && maybe[index] === 0) {
      maybe[index] = 1;
      this.isChanged = true;
    }
    if (maybe[index] === 0 || bitsType(type) === 0) this.#stack.localLeaves(index, NONE, NONE);
    else this.#bitsSet(index, type, slot);
  }

  #hold(index: number, { number, isStackPointer }: Slot): void {
    if (number === undefined && !isStackPointer) this.#held.delete(index);
    else this.#held.set(index, { number, isStackPointer });
  }

  #bitsSet(index: number, type: number, slot: Slot): void {
    const { code } = this.#stack;
    const [bits, origin] = [this.#stack.ofLocal(type, index), this.#stack.originOfLocal(index)];
    this.#stack.localLeaves(index, bits, origin);
    this.#defined[index] = slot.bits === DEFINED ? 1 : 0;
    if (slot.bits === bits) return;
    this.#stack.bitsPush(slot);
    code.set(bits);
    if (slot.bits === DEFINED) return;
    this.#stack.originPush(slot);
    code.set(origin);
  }

  /** A value was checked; if it is of a local, that has no undefined bits any more. */
  checked(slot: Slot): void {
    const { types } = this.facts;
    if (slot.value === NONE || slot.value >= types.length) return;
    if (slot.bits === this.#stack.ofLocal(slot.type, slot.value)) this.#defined[slot.value] = 1;
  }

  /** A block begins. Facts hold in it; in a loop, only those of locals that it does not set. */
  blockBegin(loop?: number): Known {
    this.#held.clear();
    const sets = loop === undefined ? undefined : this.facts.loops.get(loop);
    for (const local of sets ?? []) this.#defined[local] = 0;
    return { defined: this.#defined.slice(), time: ++this.#time };
  }

  /** The other branch begins with the facts of the block's beginning. */
  elseBegin(known: Known): void {
    this.#held.clear();
    this.#defined = known.defined.slice();
  }

  /** A block ends: facts from before it hold, of locals that it does not set. */
  blockEnd({ defined, time }: Known): void {
    this.#held.clear();
    for (let i = 0; i < defined.length; i++) {
      if ((this.#setAt[i] as number) > time) defined[i] = 0;
    }
    this.#defined = defined;
  }
}
