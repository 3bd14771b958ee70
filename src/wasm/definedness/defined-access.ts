/** Loads, stores and bulk operations, with the undefined bits that lie beside memory. */
import type { CodeReader } from "../module/code.ts";
import { type Access, accessOf, I32, op } from "../module/opcodes.ts";
import type { CodeWriter } from "../module/writer.ts";
import { Flow } from "./defined-code.ts";
import { accessResult, bitsType, plainAccess, shadowAccess } from "./defined-rules.ts";
import { ADDRESS, SIZE } from "./defined-setting.ts";
import { DEFINED, type Slot } from "./defined-stack.ts";

const REFERENCE = 0x70;
/** Stores of so many bytes. */
const storeOf: Readonly<Record<number, number>> = { 1: 0x3a, 2: 0x3b, 4: 0x36, 8: 0x37 };

/** What table instructions take, by the number behind their prefix, and whether they answer. */
const tables: Readonly<Record<number, readonly [number, boolean]>> = {
  9: [0, false],
  12: [3, false],
  13: [0, false],
  14: [3, false],
  15: [2, true],
  16: [0, true],
  17: [3, false],
};

/** Copies an instruction, checks of its address before it. */
type InstructionCopy = (at: CodeReader) => void;

export class FullFlow extends Flow {
  /** One instruction, with what stands before and behind it. */
  instruction(at: CodeReader, copy: InstructionCopy): void {
    const access = this.isDead ? undefined : accessOf(at.op);
    if (access) this.#access(at, access, copy);
    else if (this.isDead || !this.#memory(at, copy)) {
      this.before(at);
      copy(at);
      this.after(at);
    }
  }

  #access(at: CodeReader, access: Access, copy: InstructionCopy): void {
    const { stack } = this;
    const count = access.operands.length + 1;
    const [address, ...operands] = stack.slots.slice(-count) as [Slot, ...Slot[]];
    this.check(address, ADDRESS);
    if (!address.constant && address.value < 0) stack.valuesKeep(count);
    for (let i = 0; i < count; i++) stack.pop();
    copy(at);
    const plain = at.op < 0x100 ? at.op : plainAccess(at.op);
    const result = accessResult(at.op);
    if (plain === undefined) this.#exchanged(at, access, address, result);
    else if (result !== undefined) this.#load(at, access, address, shadowAccess(plain), result);
    else this.#store(at, access, address, operands[0] as Slot, shadowAccess(plain));
  }

  /** Atomic read-modify-write: its answer and what it leaves count as defined. */
  #exchanged(at: CodeReader, access: Access, address: Slot, result: number | undefined): void {
    if (access.write) {
      this.stack.valuePush(address);
      if (access.size === 8) this.code.const64(0n);
      else this.code.const(0);
      this.#shadow(at, storeOf[access.size] as number);
    }
    if (result !== undefined) this.stack.push({ type: result });
  }

  #shadow(at: CodeReader, code: number): CodeWriter {
    return this.code.access(code, at.offset + this.setting.base);
  }

  #load(at: CodeReader, access: Access, address: Slot, code: number, result: number): void {
    const { stack } = this;
    const bits = stack.bitsLocal(result, stack.depth);
    const load = () => {
      stack.valuePush(address);
      return this.#shadow(at, code);
    };
    load().tee(bits);
    if (bitsType(result) !== I32) this.code.op(op.i64Eqz, op.i32Eqz);
    this.code.if();
    this.#effective(address, at);
    this.code.const(access.size).call(this.setting.functions.settle);
    this.code.set(stack.originLocal(stack.depth));
    load().set(bits);
    this.code.end();
    stack.pushOwn(result);
  }

  #effective(address: Slot, at: CodeReader): void {
    this.stack.valuePush(address);
    if (at.offset !== 0) this.code.const(at.offset).op(op.i32Add);
  }

  #store(at: CodeReader, access: Access, address: Slot, value: Slot, code: number): void {
    const { stack } = this;
    stack.valuePush(address);
    stack.bitsPush(value);
    this.#shadow(at, code);
    if (value.bits === DEFINED) return;
    stack.flagPush(value);
    this.code.if();
    this.#effective(address, at);
    this.code.const(access.size);
    stack.originPush(value);
    this.code.call(this.setting.functions.keep).end();
  }

  #memory(at: CodeReader, copy: InstructionCopy): boolean {
    const { stack } = this;
    if (at.op === op.memorySize) stack.push({ type: I32 });
    else if (at.op === op.memoryGrow) {
      this.check(stack.pop(), SIZE);
      stack.push({ type: I32 });
    } else if (at.op === op.tableGet) {
      this.check(stack.pop(), ADDRESS);
      stack.push({ type: REFERENCE });
    } else if (at.op === op.tableSet) stack.slots.length -= 2;
    else if (at.op === op.refNull || at.op === op.refFunc) stack.push({ type: REFERENCE });
    else if (at.op === op.refIsNull) {
      stack.pop();
      stack.push({ type: I32 });
    } else return this.#bulk(at, copy);
    copy(at);
    return true;
  }

  #bulk(at: CodeReader, copy: InstructionCopy): boolean {
    const { stack } = this;
    const isRange = at.op === op.memoryFill || at.op === op.memoryCopy || at.op === op.memoryInit;
    if (isRange) this.#range(at, copy);
    else if (at.op >>> 12 === 0xfe) {
      // What is left of atomics: a fence, and waking up others.
      if (at.op === 0xfe000) stack.slots.length -= 2;
      if (at.op === 0xfe000) stack.push({ type: I32 });
      copy(at);
    } else {
      const table = at.op >>> 12 === 0xfc ? tables[at.op & 0xfff] : undefined;
      if (!table) return false;
      stack.slots.length -= table[0];
      if (table[1]) stack.push({ type: I32 });
      copy(at);
    }
    return true;
  }

  /** The checks of ranges leave the operands in locals: length, source or value, target. */
  #range(at: CodeReader, copy: InstructionCopy): void {
    const { stack, code } = this;
    const [target, second, length] = stack.slots.slice(-3) as [Slot, Slot, Slot];
    this.check(target, ADDRESS);
    if (at.op === op.memoryCopy) this.check(second, ADDRESS);
    this.check(length, SIZE);
    stack.slots.length -= 3;
    copy(at);
    code.get(code.local(I32, 2));
    if (at.op === op.memoryCopy) {
      code.get(code.local(I32, 1)).get(code.local(I32, 0)).call(this.setting.functions.copy);
      return;
    }
    code.const(this.setting.base).op(op.i32Add);
    if (second.bits === DEFINED || at.op === op.memoryInit) code.const(0);
    else stack.bitsPush(second);
    code.get(code.local(I32, 0)).memoryFill();
  }
}

/**
 * For functions with instructions whose effect is not followed (vectors, exceptions): what they
 * write is defined, what they read counts as defined.
 */
export function plainStep(
  code: CodeWriter,
  at: CodeReader,
  base: number,
  result: number,
  copy: InstructionCopy,
): void {
  const access = accessOf(at.op);
  const isRange = at.op === op.memoryFill || at.op === op.memoryCopy || at.op === op.memoryInit;
  if (access?.write) plainStore(code, at, access, base, copy);
  else copy(at);
  if (isRange) {
    code.get(code.local(I32, 2)).const(base).op(op.i32Add).const(0);
    code.get(code.local(I32, 0)).memoryFill();
  } else if (at.op === op.call || at.op === op.callIndirect || at.op === op.callRef) {
    code.const64(0n).with(op.globalSet, result);
  }
}

function plainStore(
  code: CodeWriter,
  at: CodeReader,
  access: Access,
  base: number,
  copy: InstructionCopy,
): void {
  const { operands, size } = access;
  const values = operands.map((type, i) => code.local(type, 24 + i));
  for (const value of values.toReversed()) code.set(value);
  const address = code.local(I32, 23);
  code.tee(address);
  for (const value of values) code.get(value);
  copy(at);
  for (let done = 0; done < size; done += 8) {
    code.get(address);
    if (size >= 8) code.const64(0n);
    else code.const(0);
    code.access(storeOf[Math.min(size, 8)] as number, at.offset + base + done);
  }
}
