/**
 * What an instruction does to definedness: which operands it takes, what it answers, and how the
 * undefined bits of its operands make bits of its answer undefined.
 */
import { F32, F64, I32, I64 } from "../module/opcodes.ts";

/** Any undefined bit makes all bits undefined: division, floating point. */
export const ALL = 1;
/** Bits at and above an undefined one are undefined: addition carries upward. */
export const LEFT = 2;
/** A bit is undefined where one of both is. */
export const UNION = 3;
/** A bit that is 0 in one operand is 0. */
export const AND = 4;
/** A bit that is 1 in one operand is 1. */
export const OR = 5;
/** The undefined bits move as the bits do. */
export const SHIFT = 6;
/** Is defined where all values that the operand may have give the same. */
export const ZERO_TEST = 7;
/** The same for the bits in which two operands differ. */
export const EQUALITY = 8;
/** The same for orders: the least of one against the most of the other. */
export const ORDER = 9;
/** The same for counts of bits. */
export const COUNT = 10;
/** The instruction itself moves the undefined bits: extensions, wrapping. */
export const MOVE = 11;
/** The bits stay where they are: reinterpretations, signs of floating point. */
export const KEEP = 12;
/** Any undefined bit makes the truth of a comparison undefined. */
export const TRUTH = 13;

export interface Rule {
  readonly operands: readonly number[];
  readonly result: number;
  readonly kind: number;
}

const plain: (Rule | undefined)[] = [];
const saturating: Rule[] = [];

function rules(
  from: number,
  operands: readonly number[],
  result: number,
  kinds: readonly number[],
) {
  kinds.forEach((kind, i) => {
    plain[from + i] = { operands, result, kind };
  });
}

const COMPARE = [EQUALITY, EQUALITY, ...new Array<number>(8).fill(ORDER)];
const TRUTHS = new Array<number>(6).fill(TRUTH);
const ARITHMETIC = [LEFT, LEFT, LEFT, ALL, ALL, ALL, ALL, AND, OR, UNION];
const SHIFTS = new Array<number>(5).fill(SHIFT);
const COUNTS = [COUNT, COUNT, COUNT];
const FLOAT_UNARY = [KEEP, KEEP, ALL, ALL, ALL, ALL, ALL];
const FLOAT_BINARY = new Array<number>(7).fill(ALL);

rules(0x45, [I32], I32, [ZERO_TEST]);
rules(0x46, [I32, I32], I32, COMPARE);
rules(0x50, [I64], I32, [ZERO_TEST]);
rules(0x51, [I64, I64], I32, COMPARE);
rules(0x5b, [F32, F32], I32, TRUTHS);
rules(0x61, [F64, F64], I32, TRUTHS);
rules(0x67, [I32], I32, COUNTS);
rules(0x6a, [I32, I32], I32, [...ARITHMETIC, ...SHIFTS]);
rules(0x79, [I64], I64, COUNTS);
rules(0x7c, [I64, I64], I64, [...ARITHMETIC, ...SHIFTS]);
rules(0x8b, [F32], F32, FLOAT_UNARY);
rules(0x92, [F32, F32], F32, FLOAT_BINARY);
rules(0x99, [F64], F64, FLOAT_UNARY);
rules(0xa0, [F64, F64], F64, FLOAT_BINARY);
rules(0xa7, [I64], I32, [MOVE]);
rules(0xa8, [F32], I32, [ALL, ALL]);
rules(0xaa, [F64], I32, [ALL, ALL]);
rules(0xac, [I32], I64, [MOVE, MOVE]);
rules(0xae, [F32], I64, [ALL, ALL]);
rules(0xb0, [F64], I64, [ALL, ALL]);
rules(0xb2, [I32], F32, [ALL, ALL]);
rules(0xb4, [I64], F32, [ALL, ALL]);
rules(0xb6, [F64], F32, [ALL]);
rules(0xb7, [I32], F64, [ALL, ALL]);
rules(0xb9, [I64], F64, [ALL, ALL]);
rules(0xbb, [F32], F64, [ALL]);
rules(0xbc, [F32], I32, [KEEP]);
rules(0xbd, [F64], I64, [KEEP]);
rules(0xbe, [I32], F32, [KEEP]);
rules(0xbf, [I64], F64, [KEEP]);
rules(0xc0, [I32], I32, [MOVE, MOVE]);
rules(0xc2, [I64], I64, [MOVE, MOVE, MOVE]);
for (const result of [I32, I64]) {
  for (const operand of [F32, F32, F64, F64]) {
    saturating.push({ operands: [operand], result, kind: ALL });
  }
}

/** The rule of a numeric instruction; undefined for all others. */
export function ruleOf(code: number): Rule | undefined {
  if (code < 0x100) return plain[code];
  return code >>> 12 === 0xfc ? saturating[code & 0xfff] : undefined;
}

/** The type of integers that has a value's undefined bits; 0 for references. */
export function bitsType(type: number): number {
  if (type === I32 || type === F32) return I32;
  return type === I64 || type === F64 ? I64 : 0;
}

/** What each load answers, from i32.load on. */
const loaded = [I32, I64, F32, F64, I32, I32, I32, I32, I64, I64, I64, I64, I64, I64];
const ATOMIC_TYPES = [I32, I64, I32, I32, I64, I64, I64];

/** What an access leaves on the stack; undefined when it only stores. */
export function accessResult(code: number): number | undefined {
  if (code < 0x100) return loaded[code - 0x28];
  const atomic = code & 0xfff;
  if (atomic < 3) return I32;
  return atomic >= 0x17 && atomic < 0x1e ? undefined : ATOMIC_TYPES[(atomic - 0x10) % 7];
}

/** The instruction that does to undefined bits what a load or store does to values. */
export function shadowAccess(code: number): number {
  const floats: Readonly<Record<number, number>> = { 42: 0x28, 43: 0x29, 56: 0x36, 57: 0x37 };
  return floats[code] ?? code;
}

/** Of an atomic load or store: the plain one. */
export function plainAccess(code: number): number | undefined {
  const atomic = code & 0xfff;
  const loads = [0x28, 0x29, 0x2d, 0x2f, 0x31, 0x33, 0x35];
  const stores = [0x36, 0x37, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e];
  if (atomic >= 0x10 && atomic < 0x17) return loads[atomic - 0x10];
  return atomic >= 0x17 && atomic < 0x1e ? stores[atomic - 0x17] : undefined;
}
