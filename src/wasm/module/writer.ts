/** Writes instructions, and hands out the extra locals that they need. */
import { ByteWriter } from "./bytes.ts";
import { op } from "./opcodes.ts";
import { I32 } from "./value-types.ts";

const EMPTY_BLOCK = 0x40;

export class CodeWriter extends ByteWriter {
  /** Locals that the function has without ours. */
  #locals = 0;
  readonly #extra: number[] = [];
  readonly #slots = new Map<number, number>();

  /** Starts a new function of `locals` parameters and locals. */
  reset(locals: number): void {
    this.length = 0;
    this.#locals = locals;
    this.#extra.length = 0;
    this.#slots.clear();
  }

  /** The extra local number `slot` of a type: the same one for the same arguments. */
  local(type: number, slot = 0): number {
    const key = slot * 256 + type;
    const known = this.#slots.get(key);
    if (known !== undefined) return known;
    const index = this.#locals + this.#extra.length;
    this.#extra.push(type);
    this.#slots.set(key, index);
    return index;
  }

  /** Types of the extra locals, in the order of their indices. */
  get extraLocals(): readonly number[] {
    return this.#extra;
  }

  op(...codes: readonly number[]): this {
    for (const code of codes) this.byte(code);
    return this;
  }

  /** An instruction with one index: a local, a global, a function, a label. */
  with(code: number, index: number): this {
    this.byte(code);
    this.u32(index);
    return this;
  }

  get(local: number): this {
    return this.with(op.localGet, local);
  }

  set(local: number): this {
    return this.with(op.localSet, local);
  }

  tee(local: number): this {
    return this.with(op.localTee, local);
  }

  call(index: number): this {
    return this.with(op.call, index);
  }

  const(value: number): this {
    this.byte(op.i32Const);
    this.i32(value);
    return this;
  }

  /** A load or store; the alignment that it promises is 1. */
  access(code: number, offset = 0): this {
    this.byte(code);
    this.byte(0);
    this.u32(offset);
    return this;
  }

  /** i64.const, for values that fit into nine groups of seven bits. */
  const64(value: bigint): this {
    this.byte(op.i64Const);
    let rest = value;
    for (; rest < -64n || rest > 63n; rest >>= 7n) this.byte(Number(rest & 0x7fn) | 0x80);
    this.byte(Number(rest & 0x7fn));
    return this;
  }

  memoryFill(): this {
    return this.op(0xfc, 0x0b, 0);
  }

  memoryCopy(): this {
    return this.op(0xfc, 0x0a, 0, 0);
  }

  block(): this {
    return this.op(op.block, EMPTY_BLOCK);
  }

  loop(): this {
    return this.op(op.loop, EMPTY_BLOCK);
  }

  if(): this {
    return this.op(op.if, EMPTY_BLOCK);
  }

  end(): this {
    return this.op(op.end);
  }

  br(label: number): this {
    return this.with(op.br, label);
  }

  brIf(label: number): this {
    return this.with(op.brIf, label);
  }
}

/** Parameters or results of so many 32-bit integers. */
export function i32s(count: number): number[] {
  return new Array<number>(count).fill(I32);
}
