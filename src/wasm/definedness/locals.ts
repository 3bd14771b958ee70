/** The locals of a function: which may have undefined bits at all, and which have none just now. */
import { bitsType } from "./bits.ts";
import { DEFINED, NONE, type ShadowStack, type Slot } from "./stack.ts";

/** What is found about a function before its code is written. */
export interface FunctionFacts {
  /** Types of its parameters and locals. */
  readonly types: readonly number[];
  /** 1 for each local that may have undefined bits somewhere. */
  readonly maybe: Uint8Array;
  /** By the offset of a loop: the locals that are set in it. */
  readonly loops: ReadonlyMap<number, ReadonlySet<number>>;
}

/** What was known when a block began, and when that was. */
export interface Known {
  readonly defined: Uint8Array;
  readonly time: number;
}

export class Locals {
  readonly facts: FunctionFacts;
  readonly #stack: ShadowStack;
  /** 1 for each local that has no undefined bits here, whatever the way to here. */
  #defined: Uint8Array;
  readonly #setAt: Int32Array;
  #time = 0;
  /** What locals hold in straight code: numbers, and the stack pointer. */
  readonly #held = new Map<number, Pick<Slot, "number" | "isStackPointer">>();
  /** Whether a local has turned out to be among those that may be undefined. */
  isChanged = false;

  constructor(stack: ShadowStack, facts: FunctionFacts) {
    this.#stack = stack;
    this.facts = facts;
    this.#defined = new Uint8Array(facts.types.length);
    this.#setAt = new Int32Array(facts.types.length);
  }

  /** Pushes what local.get answers. */
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

  /** A value has been asked for; if it is a local's, that has no undefined bits any more. */
  checked(slot: Slot): void {
    const { types } = this.facts;
    if (slot.value === NONE || slot.value >= types.length) return;
    if (slot.bits === this.#stack.ofLocal(slot.type, slot.value)) this.#defined[slot.value] = 1;
  }

  /** A block begins: what is known holds in it, in a loop only of what it does not set. */
  blockBegin(loop?: number): Known {
    this.#held.clear();
    const sets = loop === undefined ? undefined : this.facts.loops.get(loop);
    for (const local of sets ?? []) this.#defined[local] = 0;
    return { defined: this.#defined.slice(), time: ++this.#time };
  }

  /** The other branch begins where the first one did. */
  elseBegin(known: Known): void {
    this.#held.clear();
    this.#defined = known.defined.slice();
  }

  /** Behind a block is known what was known before it, of locals that it does not set. */
  blockEnd({ defined, time }: Known): void {
    this.#held.clear();
    for (let i = 0; i < defined.length; i++) {
      if ((this.#setAt[i] as number) > time) defined[i] = 0;
    }
    this.#defined = defined;
  }
}
