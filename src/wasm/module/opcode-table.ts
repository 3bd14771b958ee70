/** Every instruction that the reader knows has one row here; nothing else says what it does. */
import {
  accessRows,
  BLOCK_TYPE,
  BR_TABLE,
  CALLS,
  CALLS_INDIRECT,
  CLOSES,
  CONST_32,
  CONST_64,
  EIGHT_BYTES,
  FOUR_BYTES,
  HEAP_TYPE,
  INDEX,
  JOINS,
  LANE,
  MEMARG,
  OPENS,
  type Opcode,
  RULE,
  rows,
  TRY_TABLE,
  type Traits,
  TWO_INDICES,
  TYPES,
} from "./opcode-row.ts";
import { vectorRows } from "./opcode-vectors.ts";

const flow = { rule: RULE.flow };
const index = { immediates: INDEX, ...flow };
const call = { immediates: INDEX, control: CALLS };
const callIndirect = { control: CALLS | CALLS_INDIRECT };

const control: readonly Opcode[] = [
  ...rows(0x00, "unreachable", "?", flow),
  ...rows(0x01, "nop", ">", flow),
  ...rows(0x02, "block", "?", { immediates: BLOCK_TYPE, control: OPENS, ...flow }),
  ...rows(0x03, "loop", "?", { immediates: BLOCK_TYPE, control: OPENS | JOINS, ...flow }),
  ...rows(0x04, "if", "?", { immediates: BLOCK_TYPE, control: OPENS, ...flow }),
  ...rows(0x05, "else", "?", { control: JOINS, ...flow }),
  ...rows(0x06, "try", "?", { immediates: BLOCK_TYPE, control: OPENS | JOINS }),
  ...rows(0x07, "catch", "?", { immediates: INDEX, control: JOINS }),
  ...rows(0x08, "throw rethrow", "?", { immediates: INDEX }),
  ...rows(0x0a, "throw_ref", "?"),
  ...rows(0x0b, "end", "?", { control: CLOSES | JOINS, ...flow }),
  ...rows(0x0c, "br", "?", index),
  ...rows(0x0d, "br_if", "i>", index),
  ...rows(0x0e, "br_table", "?", { immediates: BR_TABLE, ...flow }),
  ...rows(0x0f, "return", "?", flow),
  ...rows(0x10, "call", "?", { ...call, ...flow }),
  ...rows(0x11, "call_indirect", "?", { immediates: TWO_INDICES, ...callIndirect, ...flow }),
  ...rows(0x12, "return_call", "?", { ...call, ...flow }),
  ...rows(0x13, "return_call_indirect", "?", { immediates: TWO_INDICES, ...callIndirect, ...flow }),
  ...rows(0x14, "call_ref return_call_ref", "?", { immediates: INDEX, ...callIndirect }),
  ...rows(0x18, "delegate", "?", { immediates: INDEX, control: CLOSES | JOINS }),
  ...rows(0x19, "catch_all", "?", { control: JOINS }),
  ...rows(0x1f, "try_table", "?", { immediates: TRY_TABLE, control: OPENS | JOINS }),
];

const operands: readonly Opcode[] = [
  ...rows(0x1a, "drop", "x>", flow),
  ...rows(0x1b, "select", "xxi>x", flow),
  ...rows(0x1c, "select_typed", "xxi>x", { immediates: TYPES, ...flow }),
  ...rows(0x20, "local.get", ">x", index),
  ...rows(0x21, "local.set", "x>", index),
  ...rows(0x22, "local.tee", "x>x", index),
  ...rows(0x23, "global.get", ">x", index),
  ...rows(0x24, "global.set", "x>", index),
  ...rows(0x41, "i32.const", ">i", { immediates: CONST_32, ...flow }),
  ...rows(0x42, "i64.const", ">l", { immediates: CONST_64, ...flow }),
  ...rows(0x43, "f32.const", ">f", { immediates: FOUR_BYTES, ...flow }),
  ...rows(0x44, "f64.const", ">d", { immediates: EIGHT_BYTES, ...flow }),
];

const defined = { rule: RULE.defined };
const indexDefined = { immediates: INDEX, ...defined };

const references: readonly Opcode[] = [
  ...rows(0x25, "table.get", "i>r", indexDefined),
  ...rows(0x26, "table.set", "ir>", indexDefined),
  ...rows(0xd0, "ref.null", ">r", { immediates: HEAP_TYPE, ...defined }),
  ...rows(0xd1, "ref.is_null", "r>i", defined),
  ...rows(0xd2, "ref.func", ">r", indexDefined),
  ...rows(0xd3, "ref.eq", "rr>i"),
  ...rows(0xd4, "ref.as_non_null", "r>r"),
  ...rows(0xd5, "br_on_null br_on_non_null", "?", { immediates: INDEX }),
];

const load = { rule: RULE.load };
const store = { rule: RULE.store };

const memory: readonly Opcode[] = [
  ...accessRows(0x28, "i32.load", "i>i", [4], load),
  ...accessRows(0x29, "i64.load", "i>l", [8], load),
  ...accessRows(0x2a, "f32.load", "i>f", [4], load),
  ...accessRows(0x2b, "f64.load", "i>d", [8], load),
  ...accessRows(0x2c, "i32.load8_s i32.load8_u", "i>i", [1, 1], load),
  ...accessRows(0x2e, "i32.load16_s i32.load16_u", "i>i", [2, 2], load),
  ...accessRows(0x30, "i64.load8_s i64.load8_u", "i>l", [1, 1], load),
  ...accessRows(0x32, "i64.load16_s i64.load16_u", "i>l", [2, 2], load),
  ...accessRows(0x34, "i64.load32_s i64.load32_u", "i>l", [4, 4], load),
  ...accessRows(0x36, "i32.store", "ii>", [4], store),
  ...accessRows(0x37, "i64.store", "il>", [8], store),
  ...accessRows(0x38, "f32.store", "if>", [4], store),
  ...accessRows(0x39, "f64.store", "id>", [8], store),
  ...accessRows(0x3a, "i32.store8 i32.store16", "ii>", [1, 2], store),
  ...accessRows(0x3c, "i64.store8 i64.store16 i64.store32", "il>", [1, 2, 4], store),
  ...rows(0x3f, "memory.size", ">i", indexDefined),
  ...rows(0x40, "memory.grow", "i>i", indexDefined),
];

const numbers: readonly Opcode[] = [
  ...integerRows("i32", "i", 0x45, 0x67, 0x6a),
  ...integerRows("i64", "l", 0x50, 0x79, 0x7c),
  ...floatRows("f32", "f", 0x5b, 0x8b, 0x92),
  ...floatRows("f64", "d", 0x61, 0x99, 0xa0),
  ...rows(0xa7, "i32.wrap_i64", "l>i", { rule: RULE.move }),
  ...rows(0xa8, "i32.trunc_f32_s i32.trunc_f32_u", "f>i", { rule: RULE.all }),
  ...rows(0xaa, "i32.trunc_f64_s i32.trunc_f64_u", "d>i", { rule: RULE.all }),
  ...rows(0xac, "i64.extend_i32_s i64.extend_i32_u", "i>l", { rule: RULE.move }),
  ...rows(0xae, "i64.trunc_f32_s i64.trunc_f32_u", "f>l", { rule: RULE.all }),
  ...rows(0xb0, "i64.trunc_f64_s i64.trunc_f64_u", "d>l", { rule: RULE.all }),
  ...rows(0xb2, "f32.convert_i32_s f32.convert_i32_u", "i>f", { rule: RULE.all }),
  ...rows(0xb4, "f32.convert_i64_s f32.convert_i64_u", "l>f", { rule: RULE.all }),
  ...rows(0xb6, "f32.demote_f64", "d>f", { rule: RULE.all }),
  ...rows(0xb7, "f64.convert_i32_s f64.convert_i32_u", "i>d", { rule: RULE.all }),
  ...rows(0xb9, "f64.convert_i64_s f64.convert_i64_u", "l>d", { rule: RULE.all }),
  ...rows(0xbb, "f64.promote_f32", "f>d", { rule: RULE.all }),
  ...rows(0xbc, "i32.reinterpret_f32", "f>i", { rule: RULE.keep }),
  ...rows(0xbd, "i64.reinterpret_f64", "d>l", { rule: RULE.keep }),
  ...rows(0xbe, "f32.reinterpret_i32", "i>f", { rule: RULE.keep }),
  ...rows(0xbf, "f64.reinterpret_i64", "l>d", { rule: RULE.keep }),
  ...rows(0xc0, "i32.extend8_s i32.extend16_s", "i>i", { rule: RULE.move }),
  ...rows(0xc2, "i64.extend8_s i64.extend16_s i64.extend32_s", "l>l", { rule: RULE.move }),
  ...rows(0xfc000, "i32.trunc_sat_f32_s i32.trunc_sat_f32_u", "f>i", { rule: RULE.all }),
  ...rows(0xfc002, "i32.trunc_sat_f64_s i32.trunc_sat_f64_u", "d>i", { rule: RULE.all }),
  ...rows(0xfc004, "i64.trunc_sat_f32_s i64.trunc_sat_f32_u", "f>l", { rule: RULE.all }),
  ...rows(0xfc006, "i64.trunc_sat_f64_s i64.trunc_sat_f64_u", "d>l", { rule: RULE.all }),
];

/** Names with a type before each: "i32.eq i32.ne". */
function ofType(type: string, names: string): string {
  return names.replace(/\S+/g, `${type}.$&`);
}

/** The instructions that i32 and i64 have in common, from these codes on. */
function integerRows(type: string, t: string, test: number, count: number, sum: number): Opcode[] {
  const compare = (at: number, names: string, rule: Opcode["rule"]) =>
    rows(test + at, ofType(type, names), `${t}${t}>i`, { rule });
  const binary = (at: number, names: string, rule: Opcode["rule"]) =>
    rows(sum + at, ofType(type, names), `${t}${t}>${t}`, { rule });
  return [
    ...rows(test, `${type}.eqz`, `${t}>i`, { rule: RULE.zeroTest }),
    ...compare(1, "eq ne", RULE.equality),
    ...compare(3, "lt_s", RULE.lessSigned),
    ...compare(4, "lt_u", RULE.lessUnsigned),
    ...compare(5, "gt_s", RULE.greaterSigned),
    ...compare(6, "gt_u", RULE.greaterUnsigned),
    ...compare(7, "le_s", RULE.greaterSigned),
    ...compare(8, "le_u", RULE.greaterUnsigned),
    ...compare(9, "ge_s", RULE.lessSigned),
    ...compare(10, "ge_u", RULE.lessUnsigned),
    ...rows(count, ofType(type, "clz ctz popcnt"), `${t}>${t}`, { rule: RULE.count }),
    ...binary(0, "add sub mul", RULE.left),
    ...binary(3, "div_s div_u rem_s rem_u", RULE.all),
    ...binary(7, "and", RULE.and),
    ...binary(8, "or", RULE.or),
    ...binary(9, "xor", RULE.union),
    ...binary(10, "shl shr_s shr_u rotl rotr", RULE.shift),
  ];
}

/** The instructions that f32 and f64 have in common, from these codes on. */
function floatRows(type: string, t: string, test: number, unary: number, sum: number): Opcode[] {
  const one = `${t}>${t}`;
  return [
    ...rows(test, ofType(type, "eq ne lt gt le ge"), `${t}${t}>i`, { rule: RULE.truth }),
    ...rows(unary, ofType(type, "abs neg"), one, { rule: RULE.keep }),
    ...rows(unary + 2, ofType(type, "ceil floor trunc nearest sqrt"), one, { rule: RULE.all }),
    ...rows(sum, ofType(type, "add sub mul div min max copysign"), `${t}${one}`, {
      rule: RULE.all,
    }),
  ];
}

const range = { rule: RULE.range };

const bulk: readonly Opcode[] = [
  ...rows(0xfc008, "memory.init", "iii>", { immediates: TWO_INDICES, ...range }),
  ...rows(0xfc009, "data.drop", ">", indexDefined),
  ...rows(0xfc00a, "memory.copy", "iii>", { immediates: TWO_INDICES, ...range }),
  ...rows(0xfc00b, "memory.fill", "iii>", { immediates: INDEX, ...range }),
  ...rows(0xfc00c, "table.init", "iii>", { immediates: TWO_INDICES, ...defined }),
  ...rows(0xfc00d, "elem.drop", ">", indexDefined),
  ...rows(0xfc00e, "table.copy", "iii>", { immediates: TWO_INDICES, ...defined }),
  ...rows(0xfc00f, "table.grow", "ri>i", indexDefined),
  ...rows(0xfc010, "table.size", ">i", indexDefined),
  ...rows(0xfc011, "table.fill", "iri>", indexDefined),
];

const wait = { rule: RULE.exchange };
const exchange = { rule: RULE.exchange, write: true };
const changes = ["add", "sub", "and", "or", "xor", "xchg"];

/** Each atomic operation comes in seven widths. `narrow` has # for the bits, the signature t. */
function atomicRows(
  first: number,
  wide: string,
  narrow: string,
  signature: string,
  traits: Traits,
): Opcode[] {
  const one = (at: number, type: string, t: string, sizes: readonly number[], name: string) => {
    const names = sizes.map((size) => `${type}.atomic.${name.replace("#", String(size * 8))}`);
    return accessRows(first + at, names.join(" "), signature.replaceAll("t", t), sizes, traits);
  };
  return [
    ...one(0, "i32", "i", [4], wide),
    ...one(1, "i64", "l", [8], wide),
    ...one(2, "i32", "i", [1, 2], narrow),
    ...one(4, "i64", "l", [1, 2, 4], narrow),
  ];
}

const atomics: readonly Opcode[] = [
  ...rows(0xfe000, "memory.atomic.notify", "ii>i", { immediates: MEMARG, ...defined }),
  ...accessRows(0xfe001, "memory.atomic.wait32", "iil>i", [4], wait),
  ...accessRows(0xfe002, "memory.atomic.wait64", "ill>i", [8], wait),
  ...rows(0xfe003, "atomic.fence", ">", { immediates: LANE, ...defined }),
  ...atomicRows(0xfe010, "load", "load#_u", "i>t", load),
  ...atomicRows(0xfe017, "store", "store#", "it>", store),
  ...changes.flatMap((name, i) =>
    atomicRows(0xfe01e + 7 * i, `rmw.${name}`, `rmw#.${name}_u`, "it>t", exchange),
  ),
  ...atomicRows(0xfe048, "rmw.cmpxchg", "rmw#.cmpxchg_u", "itt>t", exchange),
];

/** All instructions; the order has no meaning. */
export const opcodeTable: readonly Opcode[] = [
  ...[...control, ...operands, ...references, ...memory, ...numbers],
  ...[...bulk, ...atomics, ...vectorRows],
];
