/** The columns of the table of instructions, and functions that make its rows. */
import { F32, F64, FUNCREF, I32, I64, V128 } from "./value-types.ts";

/** The type of an operand that may have any type. */
export const ANY = 0;

// What follows an opcode.
export const NOT_KNOWN = 0;
export const NOTHING = 1;
export const BLOCK_TYPE = 2;
export const INDEX = 3;
export const TWO_INDICES = 4;
export const BR_TABLE = 5;
export const MEMARG = 6;
export const CONST_32 = 7;
export const CONST_64 = 8;
export const FOUR_BYTES = 9;
export const EIGHT_BYTES = 10;
export const TYPES = 11;
export const TRY_TABLE = 12;
export const HEAP_TYPE = 13;
export const SIXTEEN_BYTES = 14;
export const MEMARG_LANE = 15;
export const LANE = 16;
/** The byte is a prefix; a number that follows names the instruction. */
export const PREFIX = 17;

// What an instruction does to control: bits.
/** Opens a block that `end` or `delegate` closes. */
export const OPENS = 1;
export const CLOSES = 2;
/** Control may arrive here from elsewhere, so facts about straight code no longer hold. */
export const JOINS = 4;
export const CALLS = 8;
/** Calls through a table or a reference. */
export const CALLS_INDIRECT = 16;

/**
 * How undefined bits of the operands make bits of the result undefined; see the part definedness.
 * Numeric rules have the numbers from `all` on.
 */
export const RULE = {
  /** Not followed: all values in functions with such an instruction count as defined. */
  none: 0,
  /** Moves operands, locals or control; handled by code of its own. */
  flow: 1,
  /** Its result counts as defined. */
  defined: 2,
  /** A load: bits come from memory. */
  load: 3,
  /** A store: bits go to memory. */
  store: 4,
  /** An atomic operation that reads and writes: its result and what it stores count as defined. */
  exchange: 5,
  /** Copies, fills or initialises a range of memory. */
  range: 6,
  /** Any undefined bit makes all bits undefined: division, floating point. */
  all: 7,
  /** Bits at and above an undefined one are undefined: addition carries upward. */
  left: 8,
  /** A bit is undefined where it is in one of the operands. */
  union: 9,
  /** A bit that is 0 in one operand is 0. */
  and: 10,
  /** A bit that is 1 in one operand is 1. */
  or: 11,
  /** The undefined bits move as the bits do. */
  shift: 12,
  /** Defined if all values that the operand may have give the same result. */
  zeroTest: 13,
  /** The same for the bits in which two operands differ. */
  equality: 14,
  /** The same for a < b and its opposite a >= b. */
  lessSigned: 15,
  lessUnsigned: 16,
  /** The same for a > b and a <= b, which are b < a and its opposite. */
  greaterSigned: 17,
  greaterUnsigned: 18,
  /** The same for counts of bits. */
  count: 19,
  /** The instruction itself moves the undefined bits: extensions, wrapping. */
  move: 20,
  /** The bits stay where they are: reinterpretations, signs of floating point. */
  keep: 21,
  /** Any undefined bit makes the truth of a comparison undefined. */
  truth: 22,
} as const;

export type Rule = (typeof RULE)[keyof typeof RULE];

/** How an instruction touches memory. */
export interface Access {
  /** Bytes. */
  readonly size: number;
  /** Whether it writes. One that reads and writes is a write. */
  readonly write: boolean;
  /** Types of the operands that lie above the address. */
  readonly operands: readonly number[];
}

/** A row of the table of instructions. */
export interface Opcode {
  /** One byte, or prefix << 12 | number behind the prefix. */
  readonly code: number;
  /** As the text format has it. */
  readonly name: string;
  /** What follows the opcode: INDEX and the like. */
  readonly immediates: number;
  /** Types of the operands, the topmost last; undefined if they depend on an immediate. */
  readonly pops: readonly number[] | undefined;
  /** Types of the results; undefined if they depend on an immediate. */
  readonly pushes: readonly number[] | undefined;
  /** OPENS, CLOSES, JOINS and the like. */
  readonly control: number;
  readonly access: Access | undefined;
  readonly rule: Rule;
}

/** An instruction that computes: it has operands and one result, of types that are known. */
export interface NumericOpcode extends Opcode {
  readonly pops: readonly number[];
  readonly pushes: readonly [number];
}

export function isNumeric(row: Opcode): row is NumericOpcode {
  return row.rule >= RULE.all;
}

/** What a row has besides its signature. */
export interface Traits {
  readonly immediates?: number;
  readonly control?: number;
  readonly rule?: Rule;
  /** Whether an access writes. Default: those without a result do. */
  readonly write?: boolean;
}

const letters: Readonly<Record<string, number>> = {
  i: I32,
  l: I64,
  f: F32,
  d: F64,
  v: V128,
  r: FUNCREF,
  x: ANY,
};

function typesOf(text: string): number[] {
  return [...text].map((letter) => letters[letter] as number);
}

/** Operands and results of a signature: "ii>i"; "?" if they depend on an immediate. */
function signatureOf(text: string): Pick<Opcode, "pops" | "pushes"> {
  if (text === "?") return { pops: undefined, pushes: undefined };
  const [pops, pushes] = text.split(">") as [string, string];
  return { pops: typesOf(pops), pushes: typesOf(pushes) };
}

/**
 * Rows of instructions whose codes follow each other.
 *
 * @param names separated by spaces; "_" skips a code.
 * @param signature a letter for each operand and result: i32, l for i64, f32, d for f64, v128,
 *   a reference, and x for any type.
 */
export function rows(
  first: number,
  names: string,
  signature: string,
  traits: Traits = {},
): Opcode[] {
  const { immediates = NOTHING, control = 0, rule = RULE.none } = traits;
  return names.split(" ").flatMap((name, i) => {
    if (name === "_") return [];
    const code = first + i;
    const common = { immediates, control, rule, access: undefined };
    return [{ code, name, ...signatureOf(signature), ...common }];
  });
}

/** Rows of instructions that touch memory; `sizes` are their widths in bytes. */
export function accessRows(
  first: number,
  names: string,
  signature: string,
  sizes: readonly number[],
  traits: Traits = {},
): Opcode[] {
  const all = rows(first, names, signature, { immediates: MEMARG, ...traits });
  return all.map((row, i) => {
    const [, ...operands] = row.pops as readonly number[];
    const write = traits.write ?? row.pushes?.length === 0;
    return { ...row, access: { size: sizes[i] as number, write, operands } };
  });
}
