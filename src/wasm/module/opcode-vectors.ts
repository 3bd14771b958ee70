/** The rows of vector instructions, with relaxed ones. None has a rule of definedness. */
import { accessRows, LANE, MEMARG_LANE, type Opcode, rows, SIXTEEN_BYTES } from "./opcode-row.ts";

const lane = { immediates: LANE };
const memoryLane = { immediates: MEMARG_LANE };

const memory: readonly Opcode[] = [
  ...accessRows(0xfd000, "v128.load", "i>v", [16]),
  ...accessRows(0xfd001, "v128.load8x8_s v128.load8x8_u", "i>v", [8, 8]),
  ...accessRows(0xfd003, "v128.load16x4_s v128.load16x4_u", "i>v", [8, 8]),
  ...accessRows(0xfd005, "v128.load32x2_s v128.load32x2_u", "i>v", [8, 8]),
  ...accessRows(0xfd007, "v128.load8_splat v128.load16_splat", "i>v", [1, 2]),
  ...accessRows(0xfd009, "v128.load32_splat v128.load64_splat", "i>v", [4, 8]),
  ...accessRows(0xfd00b, "v128.store", "iv>", [16]),
  ...accessRows(0xfd054, "v128.load8_lane v128.load16_lane", "iv>v", [1, 2], memoryLane),
  ...accessRows(0xfd056, "v128.load32_lane v128.load64_lane", "iv>v", [4, 8], memoryLane),
  ...accessRows(0xfd058, "v128.store8_lane v128.store16_lane", "iv>", [1, 2], memoryLane),
  ...accessRows(0xfd05a, "v128.store32_lane v128.store64_lane", "iv>", [4, 8], memoryLane),
  ...accessRows(0xfd05c, "v128.load32_zero v128.load64_zero", "i>v", [4, 8]),
];

const lanes: readonly Opcode[] = [
  ...rows(0xfd00c, "v128.const", ">v", { immediates: SIXTEEN_BYTES }),
  ...rows(0xfd00d, "i8x16.shuffle", "vv>v", { immediates: SIXTEEN_BYTES }),
  ...rows(0xfd00e, "i8x16.swizzle", "vv>v"),
  ...rows(0xfd00f, "i8x16.splat i16x8.splat i32x4.splat", "i>v"),
  ...rows(0xfd012, "i64x2.splat", "l>v"),
  ...rows(0xfd013, "f32x4.splat", "f>v"),
  ...rows(0xfd014, "f64x2.splat", "d>v"),
  ...rows(0xfd015, "i8x16.extract_lane_s i8x16.extract_lane_u", "v>i", lane),
  ...rows(0xfd017, "i8x16.replace_lane", "vi>v", lane),
  ...rows(0xfd018, "i16x8.extract_lane_s i16x8.extract_lane_u", "v>i", lane),
  ...rows(0xfd01a, "i16x8.replace_lane", "vi>v", lane),
  ...rows(0xfd01b, "i32x4.extract_lane", "v>i", lane),
  ...rows(0xfd01c, "i32x4.replace_lane", "vi>v", lane),
  ...rows(0xfd01d, "i64x2.extract_lane", "v>l", lane),
  ...rows(0xfd01e, "i64x2.replace_lane", "vl>v", lane),
  ...rows(0xfd01f, "f32x4.extract_lane", "v>f", lane),
  ...rows(0xfd020, "f32x4.replace_lane", "vf>v", lane),
  ...rows(0xfd021, "f64x2.extract_lane", "v>d", lane),
  ...rows(0xfd022, "f64x2.replace_lane", "vd>v", lane),
];

/** Instructions of one shape that follow each other, each name with the type before it. */
function of(first: number, type: string, names: string, signature: string): Opcode[] {
  return rows(first, names.replace(/[^\s_]\S*/g, `${type}.$&`), signature);
}

const COMPARE = "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u";
const COMPARE_FLOATS = "eq ne lt gt le ge";

const logic: readonly Opcode[] = [
  ...of(0xfd023, "i8x16", COMPARE, "vv>v"),
  ...of(0xfd02d, "i16x8", COMPARE, "vv>v"),
  ...of(0xfd037, "i32x4", COMPARE, "vv>v"),
  ...of(0xfd041, "f32x4", COMPARE_FLOATS, "vv>v"),
  ...of(0xfd047, "f64x2", COMPARE_FLOATS, "vv>v"),
  ...of(0xfd04d, "v128", "not", "v>v"),
  ...of(0xfd04e, "v128", "and andnot or xor", "vv>v"),
  ...of(0xfd052, "v128", "bitselect", "vvv>v"),
  ...of(0xfd053, "v128", "any_true", "v>i"),
];

const bytes: readonly Opcode[] = [
  ...of(0xfd060, "i8x16", "abs neg popcnt", "v>v"),
  ...of(0xfd063, "i8x16", "all_true bitmask", "v>i"),
  ...of(0xfd065, "i8x16", "narrow_i16x8_s narrow_i16x8_u", "vv>v"),
  ...of(0xfd06b, "i8x16", "shl shr_s shr_u", "vi>v"),
  ...of(0xfd06e, "i8x16", "add add_sat_s add_sat_u sub sub_sat_s sub_sat_u", "vv>v"),
  ...of(0xfd076, "i8x16", "min_s min_u max_s max_u _ avgr_u", "vv>v"),
];

const shorts: readonly Opcode[] = [
  ...of(0xfd07c, "i16x8", "extadd_pairwise_i8x16_s extadd_pairwise_i8x16_u", "v>v"),
  ...of(0xfd080, "i16x8", "abs neg", "v>v"),
  ...of(0xfd082, "i16x8", "q15mulr_sat_s", "vv>v"),
  ...of(0xfd083, "i16x8", "all_true bitmask", "v>i"),
  ...of(0xfd085, "i16x8", "narrow_i32x4_s narrow_i32x4_u", "vv>v"),
  ...of(0xfd087, "i16x8", "extend_low_i8x16_s extend_high_i8x16_s", "v>v"),
  ...of(0xfd089, "i16x8", "extend_low_i8x16_u extend_high_i8x16_u", "v>v"),
  ...of(0xfd08b, "i16x8", "shl shr_s shr_u", "vi>v"),
  ...of(0xfd08e, "i16x8", "add add_sat_s add_sat_u sub sub_sat_s sub_sat_u", "vv>v"),
  ...of(0xfd095, "i16x8", "mul min_s min_u max_s max_u _ avgr_u", "vv>v"),
  ...of(0xfd09c, "i16x8", "extmul_low_i8x16_s extmul_high_i8x16_s", "vv>v"),
  ...of(0xfd09e, "i16x8", "extmul_low_i8x16_u extmul_high_i8x16_u", "vv>v"),
];

const words: readonly Opcode[] = [
  ...of(0xfd07e, "i32x4", "extadd_pairwise_i16x8_s extadd_pairwise_i16x8_u", "v>v"),
  ...of(0xfd0a0, "i32x4", "abs neg", "v>v"),
  ...of(0xfd0a3, "i32x4", "all_true bitmask", "v>i"),
  ...of(0xfd0a7, "i32x4", "extend_low_i16x8_s extend_high_i16x8_s", "v>v"),
  ...of(0xfd0a9, "i32x4", "extend_low_i16x8_u extend_high_i16x8_u", "v>v"),
  ...of(0xfd0ab, "i32x4", "shl shr_s shr_u", "vi>v"),
  ...of(0xfd0ae, "i32x4", "add _ _ sub _ _ _ mul min_s min_u max_s max_u", "vv>v"),
  ...of(0xfd0ba, "i32x4", "dot_i16x8_s _ extmul_low_i16x8_s extmul_high_i16x8_s", "vv>v"),
  ...of(0xfd0be, "i32x4", "extmul_low_i16x8_u extmul_high_i16x8_u", "vv>v"),
  ...of(0xfd0c0, "i64x2", "abs neg", "v>v"),
  ...of(0xfd0c3, "i64x2", "all_true bitmask", "v>i"),
  ...of(0xfd0c7, "i64x2", "extend_low_i32x4_s extend_high_i32x4_s", "v>v"),
  ...of(0xfd0c9, "i64x2", "extend_low_i32x4_u extend_high_i32x4_u", "v>v"),
  ...of(0xfd0cb, "i64x2", "shl shr_s shr_u", "vi>v"),
  ...of(0xfd0ce, "i64x2", "add _ _ sub _ _ _ mul", "vv>v"),
  ...of(0xfd0d6, "i64x2", "eq ne lt_s gt_s le_s ge_s", "vv>v"),
  ...of(0xfd0dc, "i64x2", "extmul_low_i32x4_s extmul_high_i32x4_s", "vv>v"),
  ...of(0xfd0de, "i64x2", "extmul_low_i32x4_u extmul_high_i32x4_u", "vv>v"),
];

const ARITHMETIC = "add sub mul div min max pmin pmax";

const floats: readonly Opcode[] = [
  ...of(0xfd05e, "f32x4", "demote_f64x2_zero", "v>v"),
  ...of(0xfd05f, "f64x2", "promote_low_f32x4", "v>v"),
  ...of(0xfd067, "f32x4", "ceil floor trunc nearest", "v>v"),
  ...of(0xfd074, "f64x2", "ceil floor", "v>v"),
  ...of(0xfd07a, "f64x2", "trunc", "v>v"),
  ...of(0xfd094, "f64x2", "nearest", "v>v"),
  ...of(0xfd0e0, "f32x4", "abs neg _ sqrt", "v>v"),
  ...of(0xfd0e4, "f32x4", ARITHMETIC, "vv>v"),
  ...of(0xfd0ec, "f64x2", "abs neg _ sqrt", "v>v"),
  ...of(0xfd0f0, "f64x2", ARITHMETIC, "vv>v"),
  ...of(0xfd0f8, "i32x4", "trunc_sat_f32x4_s trunc_sat_f32x4_u", "v>v"),
  ...of(0xfd0fa, "f32x4", "convert_i32x4_s convert_i32x4_u", "v>v"),
  ...of(0xfd0fc, "i32x4", "trunc_sat_f64x2_s_zero trunc_sat_f64x2_u_zero", "v>v"),
  ...of(0xfd0fe, "f64x2", "convert_low_i32x4_s convert_low_i32x4_u", "v>v"),
];

const relaxed: readonly Opcode[] = [
  ...of(0xfd100, "i8x16", "relaxed_swizzle", "vv>v"),
  ...of(0xfd101, "i32x4", "relaxed_trunc_f32x4_s relaxed_trunc_f32x4_u", "v>v"),
  ...of(0xfd103, "i32x4", "relaxed_trunc_f64x2_s_zero relaxed_trunc_f64x2_u_zero", "v>v"),
  ...of(0xfd105, "f32x4", "relaxed_madd relaxed_nmadd", "vvv>v"),
  ...of(0xfd107, "f64x2", "relaxed_madd relaxed_nmadd", "vvv>v"),
  ...rows(0xfd109, "i8x16.relaxed_laneselect i16x8.relaxed_laneselect", "vvv>v"),
  ...rows(0xfd10b, "i32x4.relaxed_laneselect i64x2.relaxed_laneselect", "vvv>v"),
  ...of(0xfd10d, "f32x4", "relaxed_min relaxed_max", "vv>v"),
  ...of(0xfd10f, "f64x2", "relaxed_min relaxed_max", "vv>v"),
  ...of(0xfd111, "i16x8", "relaxed_q15mulr_s relaxed_dot_i8x16_i7x16_s", "vv>v"),
  ...of(0xfd113, "i32x4", "relaxed_dot_i8x16_i7x16_add_s", "vvv>v"),
];

export const vectorRows: readonly Opcode[] = [
  ...[...memory, ...lanes, ...logic, ...bytes, ...shorts],
  ...[...words, ...floats, ...relaxed],
];
