/** Steps through instructions. One object serves for all of them: there are millions. */
import { ByteReader } from "./bytes.ts";
import { damaged, unsupported } from "./errors.ts";
import * as kind from "./opcode-row.ts";
import { accessOf, immediates, immediatesOf, op } from "./opcodes.ts";
import { isReferenceTo, readValueType } from "./value-types.ts";

const MULTI_MEMORY = 0x40;

export class CodeReader extends ByteReader {
  /** Offset of the first byte of the instruction that `next` has read. */
  start = 0;
  /** Its opcode: one byte, or prefix << 12 | number. */
  op = 0;
  /** Its first index; for a memory access, of the memory. */
  index = 0;
  /** Its second index. */
  index2 = 0;
  /** Of a memory access: log2 of its alignment in bytes. */
  align = 0;
  /** Of a memory access: its offset in bytes. */
  offset = 0;
  /** Of i32.const and i64.const: the value, exact up to 2^53. */
  value = 0;

  /** The constant that may be an address: the offset of an access, an i32.const; else 0. */
  get address(): number {
    if (this.op === op.i32Const) return this.value;
    return accessOf(this.op) === undefined ? 0 : this.offset;
  }

  /** Reads the next instruction. */
  next(): void {
    this.start = this.at;
    const code = this.byte();
    this.op = code;
    const what = immediates[code] as number;
    if (what !== kind.NOTHING) this.#immediates(what === kind.PREFIX ? this.#prefixed(code) : what);
  }

  #prefixed(prefix: number): number {
    const code = this.u32();
    this.op = (prefix << 12) | code;
    return immediatesOf(prefix, code);
  }

  #immediates(what: number): void {
    switch (what) {
      case kind.NOTHING:
        return;
      case kind.INDEX:
        this.index = this.u32();
        return;
      case kind.MEMARG:
        this.#memarg();
        return;
      case kind.CONST_32:
        this.value = this.signed(32);
        return;
      case kind.CONST_64:
        this.value = this.signed(64);
        return;
      case kind.BLOCK_TYPE:
      case kind.HEAP_TYPE:
        this.#heapType();
        return;
      default:
        this.#rare(what);
    }
  }

  #rare(what: number): void {
    if (what === kind.TWO_INDICES) {
      this.index = this.u32();
      this.index2 = this.u32();
    } else if (what === kind.BR_TABLE) {
      for (let count = this.u32(); count >= 0; count--) this.u32();
    } else if (what === kind.FOUR_BYTES) this.skip(4);
    else if (what === kind.EIGHT_BYTES) this.skip(8);
    else if (what === kind.SIXTEEN_BYTES) this.skip(16);
    else if (what === kind.LANE) this.skip(1);
    else if (what === kind.MEMARG_LANE) {
      this.#memarg();
      this.skip(1);
    } else if (what === kind.TYPES) {
      for (let count = this.u32(); count > 0; count--) readValueType(this);
    } else if (what === kind.TRY_TABLE) this.#tryTable();
    else throw this.#unknown();
  }

  #memarg(): void {
    const flags = this.u32();
    if (flags >= 0x80) throw damaged(this.start, `${this.what}: an alignment of 2^${flags}`);
    this.align = flags & 0x3f;
    this.index = flags & MULTI_MEMORY ? this.u32() : 0;
    this.offset = this.u64();
  }

  /** A block's type is a value type, the index of a type, or empty; (ref …) has two bytes. */
  #heapType(): void {
    if (isReferenceTo(this.bytes[this.at])) this.skip(1);
    this.signed(33);
  }

  #tryTable(): void {
    this.#heapType();
    for (let count = this.u32(); count > 0; count--) {
      if (this.byte() < 2) this.u32();
      this.u32();
    }
  }

  #unknown(): Error {
    const code = this.op > 0xff ? `0x${(this.op >>> 12).toString(16)} ` : "";
    const text = `${this.what}: instruction ${code}0x${(this.op & 0xfff).toString(16)}`;
    return unsupported(this.start, text);
  }
}

/** A constant expression: where it is in the file, and its value if that is a lone constant. */
export interface ConstantExpression {
  /** Offset of its first byte. */
  readonly start: number;
  /** Offset behind its `end`. */
  readonly end: number;
  /** The value of a lone i32.const or i64.const, exact up to 2^53. */
  readonly value?: number;
}

/** Reads up to the `end` that closes a constant expression; calls `seen` for each instruction. */
export function constantExpression(
  reader: ByteReader,
  seen?: (code: CodeReader) => void,
): ConstantExpression {
  const code = new CodeReader(reader.bytes, reader.at, reader.end, reader.what);
  let value: number | undefined;
  let count = 0;
  for (code.next(); code.op !== op.end; code.next()) {
    seen?.(code);
    count++;
    if (code.op === op.i32Const || code.op === op.i64Const) value = code.value;
  }
  const start = reader.at;
  reader.at = code.at;
  const lone = count === 1 && value !== undefined ? { value } : {};
  return { start, end: code.at, ...lone };
}
