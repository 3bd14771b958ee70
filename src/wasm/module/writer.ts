/** Writes instructions, and adds the locals that they need. */
import { ByteWriter } from "./bytes.ts";
import { ExtraLocals } from "./locals.ts";
import { op } from "./opcodes.ts";
import { I32 } from "./value-types.ts";

const EMPTY_BLOCK = 0x40;

export class CodeWriter extends ByteWriter {
  readonly #locals = new ExtraLocals();

  /** Starts a new function of `locals` parameters and locals. */
  reset(locals: number): void {
    this.length = 0;
    this.#locals.reset(locals);
  }

  /**
   * The extra local with this name, or the one at this position of a row of them: the same index
   * for the same arguments.
   *
   * @throws TypeError when the function has such a local of another type.
   */
  local(name: string, type: number, position = 0): number {
    return this.#locals.index(name, type, position);
  }

  /** Types of the extra locals, in the order of their indices. */
  get extraLocals(): readonly number[] {
    return this.#locals.types;
  }

  /** Instructions without operands of their own, each an opcode of one byte. */
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

  /** local.get. */
  get(local: number): this {
    return this.with(op.localGet, local);
  }

  /** local.set. */
  set(local: number): this {
    return this.with(op.localSet, local);
  }

  /** local.tee. */
  tee(local: number): this {
    return this.with(op.localTee, local);
  }

  /** A call of the function with this index. */
  call(index: number): this {
    return this.with(op.call, index);
  }

  /** i32.const of a value from -2^31 to 2^31 - 1. */
  const(value: number): this {
    this.byte(op.i32Const);
    this.i32(value);
    return this;
  }

  /** A load or store with an alignment of 1 byte. */
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

  /** memory.fill of memory 0. */
  memoryFill(): this {
    return this.#prefixed(op.memoryFill).op(0);
  }

  /** memory.copy within memory 0. */
  memoryCopy(): this {
    return this.#prefixed(op.memoryCopy).op(0, 0);
  }

  #prefixed(code: number): this {
    this.byte(code >>> 12);
    this.u32(code & 0xfff);
    return this;
  }

  /** The start of a block without results. */
  block(): this {
    return this.op(op.block, EMPTY_BLOCK);
  }

  /** The start of a loop without results. */
  loop(): this {
    return this.op(op.loop, EMPTY_BLOCK);
  }

  /** The start of an if without results. */
  if(): this {
    return this.op(op.if, EMPTY_BLOCK);
  }

  /** The end of a block, loop, if or function. */
  end(): this {
    return this.op(op.end);
  }

  /** A branch to the label, counted from the innermost block. */
  br(label: number): this {
    return this.with(op.br, label);
  }

  /** A branch if the value on the stack is not 0. */
  brIf(label: number): this {
    return this.with(op.brIf, label);
  }
}

/** A list of so many types, all i32: parameters or results. */
export function i32s(count: number): number[] {
  return new Array<number>(count).fill(I32);
}
