/** Loads, stores and bulk operations: they also load and store the undefined bits. */
import type { CodeReader } from "../module/code.ts";
import { nameByType } from "../module/locals.ts";
import { type Access, type Opcode, RULE } from "../module/opcode-row.ts";
import { accessOf, op, opcodeOf } from "../module/opcodes.ts";
import { I32 } from "../module/value-types.ts";
import type { CodeWriter } from "../module/writer.ts";
import { rangeLocals } from "../shadow/access-checks.ts";
import { bitsType, integerAccess, integerStore } from "./bits.ts";
import { Flow } from "./flow.ts";
import { ADDRESS, SIZE } from "./setting.ts";
import { DEFINED, type Slot } from "./stack.ts";

/** Copies an instruction, with the check of its address before it. */
type InstructionCopy = (at: CodeReader) => void;

export class FullFlow extends Flow {
  /** Writes an instruction, and the code before and behind it. */
  instruction(at: CodeReader, copy: InstructionCopy): void {
    const row = opcodeOf(at.op);
    if (this.isDead) this.#other(at, copy);
    else if (row.access) this.#access(at, row, row.access, copy);
    else if (row.rule === RULE.range) this.#range(at, copy);
    else if (row.rule === RULE.defined) this.#defined(at, row, copy);
    else this.#other(at, copy);
  }

  #other(at: CodeReader, copy: InstructionCopy): void {
    this.before(at);
    copy(at);
    this.after(at);
  }

  #access(at: CodeReader, row: Opcode, access: Access, copy: InstructionCopy): void {
    const { stack } = this;
    const count = access.operands.length + 1;
    const [address, ...operands] = stack.slots.slice(-count) as [Slot, ...Slot[]];
    this.check(address, ADDRESS);
    if (!address.constant && address.value < 0) stack.valuesKeep(count);
    for (let i = 0; i < count; i++) stack.pop();
    copy(at);
    const result = row.pushes?.[0];
    if (row.rule === RULE.exchange) this.#exchanged(at, access, address, result as number);
    else if (result !== undefined) this.#load(at, row, access, address, result);
    else this.#store(at, row, access, address, operands[0] as Slot);
  }

  /** Atomic read-modify-write: its result and what it stores count as defined. */
  #exchanged(at: CodeReader, access: Access, address: Slot, result: number): void {
    if (access.write) {
      this.stack.valuePush(address);
      if (access.size === 8) this.code.const64(0n);
      else this.code.const(0);
      this.#shadow(at, integerStore(access.size));
    }
    this.stack.push({ type: result });
  }

  #shadow(at: CodeReader, code: number): CodeWriter {
    return this.code.access(code, at.offset + this.setting.base);
  }

  #load(at: CodeReader, row: Opcode, access: Access, address: Slot, result: number): void {
    const { stack } = this;
    const code = integerAccess(row);
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

  #store(at: CodeReader, row: Opcode, access: Access, address: Slot, value: Slot): void {
    const { stack } = this;
    stack.valuePush(address);
    stack.bitsPush(value);
    this.#shadow(at, integerAccess(row));
    if (value.bits === DEFINED) return;
    stack.flagPush(value);
    this.code.if();
    this.#effective(address, at);
    this.code.const(access.size);
    stack.originPush(value);
    this.code.call(this.setting.functions.keep).end();
  }

  /** Results count as defined. The size of memory.grow and the index of table.get must be. */
  #defined(at: CodeReader, { pops = [], pushes = [] }: Opcode, copy: InstructionCopy): void {
    const { stack } = this;
    if (at.op === op.memoryGrow) this.check(stack.slots.at(-1) as Slot, SIZE);
    else if (at.op === op.tableGet) this.check(stack.slots.at(-1) as Slot, ADDRESS);
    stack.slots.length -= pops.length;
    for (const type of pushes) stack.push({ type });
    copy(at);
  }

  /** Checks of ranges leave the operands in locals. */
  #range(at: CodeReader, copy: InstructionCopy): void {
    const { stack, code } = this;
    const [target, second, length] = stack.slots.slice(-3) as [Slot, Slot, Slot];
    this.check(target, ADDRESS);
    if (at.op === op.memoryCopy) this.check(second, ADDRESS);
    this.check(length, SIZE);
    stack.slots.length -= 3;
    copy(at);
    const locals = rangeLocals(code);
    code.get(locals.target);
    if (at.op === op.memoryCopy) {
      code.get(locals.source).get(locals.length).call(this.setting.functions.copy);
      return;
    }
    code.const(this.setting.base).op(op.i32Add);
    if (second.bits === DEFINED || at.op === op.memoryInit) code.const(0);
    else stack.bitsPush(second);
    code.get(locals.length).memoryFill();
  }
}

/**
 * Writes an instruction of a function that is not followed, since it has vectors or exceptions: all
 * that it stores and loads counts as defined.
 */
export function unfollowedStep(
  code: CodeWriter,
  at: CodeReader,
  base: number,
  result: number,
  copy: InstructionCopy,
): void {
  const access = accessOf(at.op);
  const isRange = opcodeOf(at.op).rule === RULE.range;
  if (access?.write) definedStore(code, at, access, base, copy);
  else copy(at);
  if (isRange) {
    const { target, length } = rangeLocals(code);
    code.get(target).const(base).op(op.i32Add).const(0).get(length).memoryFill();
  } else if (at.op === op.call || at.op === op.callIndirect || at.op === op.callRef) {
    code.const64(0n).with(op.globalSet, result);
  }
}

const storedName = nameByType("stored: operand");

function definedStore(
  code: CodeWriter,
  at: CodeReader,
  access: Access,
  base: number,
  copy: InstructionCopy,
): void {
  const { operands, size } = access;
  const values = operands.map((type, i) => code.local(storedName(type), type, i));
  for (const value of values.toReversed()) code.set(value);
  const address = code.local("stored: address", I32);
  code.tee(address);
  for (const value of values) code.get(value);
  copy(at);
  for (let done = 0; done < size; done += 8) {
    code.get(address);
    if (size >= 8) code.const64(0n);
    else code.const(0);
    code.access(integerStore(Math.min(size, 8)), at.offset + base + done);
  }
}
