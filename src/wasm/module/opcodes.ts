/** The instructions: which immediates each has, and which of them touch memory, how wide. */

export const I32 = 0x7f;
export const I64 = 0x7e;
export const F32 = 0x7d;
export const F64 = 0x7c;
const V128 = 0x7b;

/** What follows an opcode. */
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
export const FUNCTION = 12;
export const TRY_TABLE = 13;
export const HEAP_TYPE = 14;
export const SIXTEEN_BYTES = 15;
export const MEMARG_LANE = 16;
export const LANE = 17;
export const PREFIX = 18;

/** Opcodes by their one byte, or as prefix << 12 | number behind the prefix. */
export const op = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  try: 0x06,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  brTable: 0x0e,
  return: 0x0f,
  call: 0x10,
  callIndirect: 0x11,
  returnCall: 0x12,
  returnCallIndirect: 0x13,
  callRef: 0x14,
  returnCallRef: 0x15,
  delegate: 0x18,
  drop: 0x1a,
  select: 0x1b,
  selectTyped: 0x1c,
  tryTable: 0x1f,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  globalGet: 0x23,
  globalSet: 0x24,
  tableGet: 0x25,
  tableSet: 0x26,
  i32Load: 0x28,
  i64Load: 0x29,
  i32Load8U: 0x2d,
  i32Load16U: 0x2f,
  i32Store: 0x36,
  i32Store8: 0x3a,
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
  i32WrapI64: 0xa7,
  i64ExtendI32S: 0xac,
  i64ExtendI32U: 0xad,
  i64Add: 0x7c,
  i64Sub: 0x7d,
  i64Mul: 0x7e,
  i64And: 0x83,
  i64Or: 0x84,
  i64Xor: 0x85,
  i64ShrU: 0x88,
  refNull: 0xd0,
  refIsNull: 0xd1,
  refFunc: 0xd2,
  memoryInit: 0xfc008,
  memoryCopy: 0xfc00a,
  memoryFill: 0xfc00b,
} as const;

const plain = new Uint8Array(256);
const bulk = new Uint8Array(32);
const simd = new Uint8Array(0x120);
const atomic = new Uint8Array(0x50);

function fill(table: Uint8Array, kind: number, ...ranges: readonly (number | [number, number])[]) {
  for (const range of ranges) {
    const [from, to] = typeof range === "number" ? [range, range] : range;
    table.fill(kind, from, to + 1);
  }
}

fill(plain, NOTHING, 0x00, 0x01, 0x05, 0x0a, 0x0b, 0x0f, 0x19, 0x1a, 0x1b, [0x45, 0xc4]);
fill(plain, NOTHING, 0xd1, 0xd3, 0xd4);
fill(plain, BLOCK_TYPE, [0x02, 0x04], 0x06);
fill(plain, INDEX, [0x07, 0x09], 0x0c, 0x0d, 0x14, 0x15, 0x18, [0x20, 0x26], 0x3f, 0x40);
fill(plain, INDEX, 0xd5, 0xd6);
fill(plain, TWO_INDICES, 0x11, 0x13);
fill(plain, BR_TABLE, 0x0e);
fill(plain, FUNCTION, 0x10, 0x12, 0xd2);
fill(plain, TYPES, 0x1c);
fill(plain, TRY_TABLE, 0x1f);
fill(plain, MEMARG, [0x28, 0x3e]);
fill(plain, CONST_32, 0x41);
fill(plain, CONST_64, 0x42);
fill(plain, FOUR_BYTES, 0x43);
fill(plain, EIGHT_BYTES, 0x44);
fill(plain, HEAP_TYPE, 0xd0);
fill(plain, PREFIX, [0xfc, 0xfe]);

fill(bulk, NOTHING, [0, 7]);
fill(bulk, TWO_INDICES, 8, 10, 12, 14);
fill(bulk, INDEX, 9, 11, 13, [15, 17]);

fill(simd, MEMARG, [0, 11], 92, 93);
fill(simd, SIXTEEN_BYTES, 12, 13);
fill(simd, NOTHING, [14, 20], [35, 83], [94, 0x113]);
fill(simd, LANE, [21, 34]);
fill(simd, MEMARG_LANE, [84, 91]);

fill(atomic, MEMARG, [0, 2], [0x10, 0x4e]);
fill(atomic, LANE, 3);

/** What follows each one-byte opcode. */
export const immediates: Uint8Array = plain;

/** What follows an opcode behind a prefix. */
export function immediatesOf(prefix: number, code: number): number {
  const table = prefix === 0xfc ? bulk : prefix === 0xfd ? simd : atomic;
  return table[code] ?? NOT_KNOWN;
}

/** How an instruction touches memory. */
export interface Access {
  /** Bytes. */
  readonly size: number;
  readonly write: boolean;
  /** Types of the operands that lie above the address. */
  readonly operands: readonly number[];
}

const load = (size: number): Access => ({ size, write: false, operands: [] });
const store = (size: number, ...operands: number[]): Access => ({ size, write: true, operands });

const plainAccess: readonly Access[] = [
  ...[4, 8, 4, 8, 1, 1, 2, 2, 1, 1, 2, 2, 4, 4].map(load),
  store(4, I32),
  store(8, I64),
  store(4, F32),
  store(8, F64),
  store(1, I32),
  store(2, I32),
  store(1, I64),
  store(2, I64),
  store(4, I64),
];

const simdAccess = new Map<number, Access>([
  ...[16, 8, 8, 8, 8, 8, 8, 1, 2, 4, 8].map((size, i) => [i, load(size)] as [number, Access]),
  [11, store(16, V128)],
  ...[1, 2, 4, 8].map((size, i) => [84 + i, { ...load(size), operands: [V128] }] as const),
  ...[1, 2, 4, 8].map((size, i) => [88 + i, store(size, V128)] as const),
  [92, load(4)],
  [93, load(8)],
]);

const ATOMIC_SIZES = [4, 8, 1, 2, 1, 2, 4];
const ATOMIC_TYPES = [I32, I64, I32, I32, I64, I64, I64];

/** Read-modify-write is a write: to memory that may be read but not written there is no such. */
function atomicAccess(code: number): Access | undefined {
  if (code === 1) return { ...load(4), operands: [I32, I64] };
  if (code === 2) return { ...load(8), operands: [I64, I64] };
  if (code < 0x10 || code > 0x4e) return undefined;
  const row = (code - 0x10) % 7;
  const [size, type] = [ATOMIC_SIZES[row] as number, ATOMIC_TYPES[row] as number];
  if (code < 0x17) return load(size);
  return code < 0x48 ? store(size, type) : store(size, type, type);
}

/** How an instruction touches one place of memory; undefined for those that do not. */
export function accessOf(code: number): Access | undefined {
  if (code < 0x100) return plainAccess[code - 0x28];
  if (code >>> 12 === 0xfd) return simdAccess.get(code & 0xfff);
  return code >>> 12 === 0xfe ? atomicAccess(code & 0xfff) : undefined;
}
