/** The table of instructions, indexed by opcode for code that reads millions of them. */
import { type Access, CLOSES, NOT_KNOWN, OPENS, type Opcode, PREFIX } from "./opcode-row.ts";
import { opcodeTable } from "./opcode-table.ts";

/** Opcodes that are used by name. A test compares them with the table. */
export const op = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  try: 0x06,
  rethrow: 0x09,
  throwRef: 0x0a,
  catchAll: 0x19,
  tryTable: 0x1f,
  brTable: 0x0e,
  return: 0x0f,
  call: 0x10,
  callIndirect: 0x11,
  returnCall: 0x12,
  returnCallIndirect: 0x13,
  callRef: 0x14,
  drop: 0x1a,
  select: 0x1b,
  selectTyped: 0x1c,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  globalGet: 0x23,
  globalSet: 0x24,
  tableGet: 0x25,
  i32Load: 0x28,
  i64Load: 0x29,
  i32Load8U: 0x2d,
  i32Load16U: 0x2f,
  i32Store: 0x36,
  memorySize: 0x3f,
  memoryGrow: 0x40,
  i32Const: 0x41,
  i64Const: 0x42,
  f32Const: 0x43,
  f64Const: 0x44,
  i32Eqz: 0x45,
  i32Eq: 0x46,
  i32Ne: 0x47,
  i32LtU: 0x49,
  i32GtS: 0x4a,
  i32GtU: 0x4b,
  i32LeU: 0x4d,
  i32GeU: 0x4f,
  i64Eqz: 0x50,
  i64Eq: 0x51,
  i64Ne: 0x52,
  i64LtU: 0x54,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i32Mul: 0x6c,
  i32And: 0x71,
  i32Or: 0x72,
  i32Xor: 0x73,
  i32Shl: 0x74,
  i32ShrU: 0x76,
  i64Sub: 0x7d,
  i64Mul: 0x7e,
  i64And: 0x83,
  i64Or: 0x84,
  i64Xor: 0x85,
  i32WrapI64: 0xa7,
  i64ExtendI32S: 0xac,
  i64ExtendI32U: 0xad,
  refFunc: 0xd2,
  memoryInit: 0xfc008,
  memoryCopy: 0xfc00a,
  memoryFill: 0xfc00b,
  v128AnyTrue: 0xfd053,
  i8x16AllTrue: 0xfd063,
  i8x16Bitmask: 0xfd064,
} as const;

/** Bytes behind which a number names the instruction. */
export const PREFIXES: readonly number[] = [0xfc, 0xfd, 0xfe];
/** Numbers behind a prefix are below this. */
const NUMBERS = 0x200;

/** The position of an opcode in the arrays: opcodes of one byte first, then by prefix. */
function rank(code: number): number {
  return code < 0x100 ? code : NUMBERS * ((code >>> 12) - 0xfb) + (code & (NUMBERS - 1));
}

const byRank: (Opcode | undefined)[] = new Array(NUMBERS * 4).fill(undefined);
const accesses: (Access | undefined)[] = new Array(NUMBERS * 4).fill(undefined);
const kinds = new Uint8Array(NUMBERS * 4).fill(NOT_KNOWN);
for (const prefix of PREFIXES) kinds[prefix] = PREFIX;
for (const row of opcodeTable) {
  const at = rank(row.code);
  byRank[at] = row;
  accesses[at] = row.access;
  kinds[at] = row.immediates;
}

/** The row of an opcode that the reader has read. */
export function opcodeOf(code: number): Opcode {
  return byRank[rank(code)] as Opcode;
}

/** How an instruction touches one place of memory; undefined for those that do not. */
export function accessOf(code: number): Access | undefined {
  return accesses[rank(code)];
}

/** What follows each opcode of one byte. */
export const immediates: Uint8Array = kinds.subarray(0, 0x100);

/** What follows an opcode behind a prefix. */
export function immediatesOf(prefix: number, number: number): number {
  return number < NUMBERS ? (kinds[rank((prefix << 12) | number)] as number) : NOT_KNOWN;
}

/** A number for each opcode of one byte, made from its row; 0 for those without a row. */
export function byteValues(valueOf: (row: Opcode) => number): number[] {
  return byRank.slice(0, 0x100).map((row) => (row === undefined ? 0 : valueOf(row)));
}

/** How an instruction of one byte changes the number of open blocks. */
export const depthChange: Int8Array = Int8Array.from(
  byteValues(({ control }) => (control & OPENS ? 1 : control & CLOSES ? -1 : 0)),
);
