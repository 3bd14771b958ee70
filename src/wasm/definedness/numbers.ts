/** Code that computes the undefined bits of the result of a numeric instruction, by its rule. */

import { nameByType } from "../module/locals.ts";
import { type NumericOpcode, RULE } from "../module/opcode-row.ts";
import { op } from "../module/opcodes.ts";
import { I32, I64 } from "../module/value-types.ts";
import type { CodeWriter } from "../module/writer.ts";
import { bitsType } from "./bits.ts";
import { DEFINED, NONE, type ShadowStack, type Slot } from "./stack.ts";

/** Indices of added functions, by the type of their operands. */
export interface TestFunctions {
  /** (value, undefined bits) → 1 if undefined bits decide whether the value is 0. */
  readonly zero: Readonly<Record<number, number>>;
  /** (a, its undefined bits, b, its) → 1 if undefined bits decide whether a < b, unsigned. */
  readonly order: Readonly<Record<number, number>>;
}

const SIGN = { [I32]: 0x80000000 | 0, [I64]: -(2n ** 63n) };

/** Instructions by the type of their operands. */
const integer = {
  [I32]: { and: op.i32And, or: op.i32Or, xor: op.i32Xor, sub: op.i32Sub, ne: op.i32Ne },
  [I64]: { and: op.i64And, or: op.i64Or, xor: op.i64Xor, sub: op.i64Sub, ne: op.i64Ne },
} as const;

const sumBitsName = nameByType("undefined bits of a sum");

function ofType(type: number) {
  return integer[bitsType(type) as typeof I32 | typeof I64];
}

function zeroPush(code: CodeWriter, type: number): CodeWriter {
  return bitsType(type) === I32 ? code.const(0) : code.const64(0n);
}

/** Writes code before a numeric instruction for the undefined bits of its result. */
export function numberStep(stack: ShadowStack, tests: TestFunctions, row: NumericOpcode): void {
  const { slots } = stack;
  const isOpen =
    slots.at(-1)?.bits !== DEFINED || (row.pops.length > 1 && slots.at(-2)?.bits !== DEFINED);
  if (isOpen) new NumberStep(stack, tests, row).run();
  else {
    slots.length -= row.pops.length;
    stack.push({ type: row.pushes[0] });
  }
}

/** Rules that need the values of the operands. */
const WITH_VALUES: readonly number[] = [
  ...[RULE.zeroTest, RULE.equality, RULE.count, RULE.and, RULE.or, RULE.shift],
  ...[RULE.lessSigned, RULE.lessUnsigned, RULE.greaterSigned, RULE.greaterUnsigned],
];

class NumberStep {
  readonly #stack: ShadowStack;
  readonly #tests: TestFunctions;
  readonly #row: NumericOpcode;

  constructor(stack: ShadowStack, tests: TestFunctions, row: NumericOpcode) {
    this.#stack = stack;
    this.#tests = tests;
    this.#row = row;
  }

  run(): void {
    const { pops, rule } = this.#row;
    const [result] = this.#row.pushes;
    const stack = this.#stack;
    const open = stack.slots.slice(-pops.length).filter((slot) => slot.bits !== DEFINED);
    if (rule === RULE.keep) {
      const slot = stack.pop();
      stack.push({ type: result, bits: slot.bits, origin: slot.origin });
      return;
    }
    this.#valuesKeep();
    const taken = pops.map(() => stack.pop()).reverse();
    const { depth } = stack;
    const origin = originMerge(stack, open, depth);
    this.#emit(taken[0] as Slot, taken[1] as Slot);
    const bits = stack.bitsLocal(result, depth);
    stack.code.set(bits);
    stack.push({ type: result, bits, origin });
  }

  /** Only some rules need values. */
  #valuesKeep(): void {
    const { rule, pops } = this.#row;
    const [a, b] = this.#stack.slots.slice(-pops.length) as [Slot, Slot];
    const masks = rule === RULE.and || rule === RULE.or;
    if (masks && a.bits !== DEFINED && b.bits === DEFINED && b.constant) return;
    if (rule === RULE.shift && b.constant) return;
    if (WITH_VALUES.includes(rule)) this.#stack.valuesKeep(pops.length);
  }

  #emit(a: Slot, b: Slot): void {
    const { rule } = this.#row;
    if (rule === RULE.left) this.#left(a, b);
    else if (rule === RULE.union) this.#union(a, b);
    else if (rule === RULE.and) this.#mask(a, b, false);
    else if (rule === RULE.or) this.#mask(a, b, true);
    else if (rule === RULE.shift) this.#shift(a, b);
    else if (rule === RULE.move) this.#stack.code.get(a.bits).op(this.#row.code);
    else this.#test(a, b);
  }

  #test(a: Slot, b: Slot): void {
    const { rule, pops, pushes } = this.#row;
    if (rule === RULE.all) this.#all(pushes[0], pops.length > 1 ? [a, b] : [a]);
    else if (rule === RULE.truth) this.#flags([a, b]).const(0).op(op.i32Ne);
    else if (rule === RULE.count) this.#count(a);
    else if (rule === RULE.zeroTest) this.#ifOpen([a], () => this.#zeroTest(a));
    else if (rule === RULE.equality) this.#ifOpen([a, b], () => this.#equality(a, b));
    else this.#ifOpen([a, b], () => this.#order(a, b));
  }

  /** Pushes an i32 that is not 0 if one of the operands has an undefined bit. */
  #flags(slots: readonly Slot[]): CodeWriter {
    const open = slots.filter((slot) => slot.bits !== DEFINED);
    this.#stack.flagsPush(open);
    return this.#stack.code;
  }

  /** All bits of the result are undefined if any bit of the operands is. */
  #all(result: number, slots: readonly Slot[]): void {
    maskOfFlag(this.#flags(slots), result);
  }

  /** The result of the test if there is an undefined bit; otherwise 0. */
  #ifOpen(slots: readonly Slot[], test: () => void): void {
    const code = this.#flags(slots);
    code.op(op.if, I32);
    test();
    code.op(op.else).const(0).end();
  }

  #zeroTest(a: Slot): void {
    this.#stack.valuePush(a);
    this.#stack.bitsPush(a);
    this.#stack.code.call(this.#tests.zero[a.type] as number);
  }

  #equality(a: Slot, b: Slot): void {
    const { code } = this.#stack;
    const { xor, or } = ofType(a.type);
    this.#stack.valuePush(a);
    this.#stack.valuePush(b);
    code.op(xor);
    this.#stack.bitsPush(a);
    this.#stack.bitsPush(b);
    code.op(or).call(this.#tests.zero[a.type] as number);
  }

  /** a > b is b < a; signed is unsigned with the signs flipped. */
  #order(a: Slot, b: Slot): void {
    const { rule } = this.#row;
    const isSigned = rule === RULE.lessSigned || rule === RULE.greaterSigned;
    const isLess = rule === RULE.lessSigned || rule === RULE.lessUnsigned;
    for (const slot of isLess ? [a, b] : [b, a]) {
      this.#stack.valuePush(slot);
      if (isSigned) this.#signFlip(slot.type);
      this.#stack.bitsPush(slot);
    }
    this.#stack.code.call(this.#tests.order[a.type] as number);
  }

  #signFlip(type: number): void {
    const { code } = this.#stack;
    if (type === I32) code.const(SIGN[I32]).op(op.i32Xor);
    else code.const64(SIGN[I64]).op(integer[I64].xor);
  }

  /** The count is defined if it is the same for the least and the greatest possible operand. */
  #count(a: Slot): void {
    const { code } = this.#stack;
    const { and, or, xor, ne } = ofType(a.type);
    const isLong = a.type === I64;
    this.#stack.valuePush(a);
    this.#stack.bitsPush(a);
    if (isLong) code.const64(-1n);
    else code.const(-1);
    code.op(xor, and, this.#row.code);
    this.#stack.valuePush(a);
    this.#stack.bitsPush(a);
    maskOfFlag(code.op(or, this.#row.code, ne), a.type);
  }

  #union(a: Slot, b: Slot): void {
    const { code } = this.#stack;
    const open = [a, b].filter((slot) => slot.bits !== DEFINED);
    for (const slot of open) code.get(slot.bits);
    if (open.length > 1) code.op(ofType(a.type).or);
  }

  /** u | -u: the lowest undefined bit and all above it. */
  #left(a: Slot, b: Slot): void {
    const { code } = this.#stack;
    const { or, sub } = ofType(a.type);
    const bits = code.local(sumBitsName(a.type), bitsType(a.type));
    this.#union(a, b);
    zeroPush(code.set(bits), a.type).get(bits).op(sub).get(bits).op(or);
  }

  /** A bit is undefined if it is in one operand, and the other is not 0 for and, 1 for or. */
  #mask(a: Slot, b: Slot, inverted: boolean): void {
    const { code } = this.#stack;
    const { and, or } = ofType(a.type);
    const both = a.bits !== DEFINED && b.bits !== DEFINED;
    if (a.bits !== DEFINED) {
      code.get(a.bits);
      this.#undecided(b, inverted);
      if (both) code.get(b.bits).op(or);
      code.op(and);
    }
    if (b.bits !== DEFINED) {
      code.get(b.bits);
      this.#undecided(a, inverted);
      code.op(and);
    }
    if (both) code.op(or);
  }

  /** The bits of a value for which the result depends on the other operand. */
  #undecided(slot: Slot, inverted: boolean): void {
    const { code } = this.#stack;
    this.#stack.valuePush(slot);
    if (!inverted) return;
    if (slot.type === I32) code.const(-1);
    else code.const64(-1n);
    code.op(ofType(slot.type).xor);
  }

  #shift(a: Slot, b: Slot): void {
    const { code } = this.#stack;
    this.#stack.bitsPush(a);
    this.#stack.valuePush(b);
    code.op(this.#row.code);
    if (b.bits === DEFINED) return;
    this.#all(a.type, [b]);
    code.op(ofType(a.type).or);
  }
}

/** Turns an i32 on the stack into all bits of a type if it is not 0; otherwise into 0. */
export function maskOfFlag(code: CodeWriter, type: number): void {
  code.op(op.i32Eqz).const(1).op(op.i32Sub);
  if (bitsType(type) === I64) code.op(op.i64ExtendI32S);
}

/** The origin of the result: that of the first operand that has undefined bits. */
export function originMerge(stack: ShadowStack, open: readonly Slot[], depth: number): number {
  const known = open.filter((slot) => slot.origin !== NONE);
  const [first, ...rest] = known;
  if (!first) return NONE;
  const isTheirs = known.every((slot) => slot.origin === first.origin);
  const { code } = stack;
  const own = stack.originLocal(depth);
  if (isTheirs && (first.origin === own || stack.isOfLocal(first.origin))) return first.origin;
  stack.originPush(rest.at(-1) ?? first);
  for (const slot of known.slice(0, -1).reverse()) {
    // select takes its first operand when the flag is not 0.
    const other = code.local("merged origin", I32);
    code.set(other);
    stack.originPush(slot);
    code.get(other);
    stack.flagPush(slot);
    code.op(op.select);
  }
  code.set(own);
  return own;
}
