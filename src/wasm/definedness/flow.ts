/**
 * Follows a function's code and adds to every instruction code that computes which bits of its
 * result are undefined. Undefined values may be copied and computed with. They are checked only
 * where they decide what the program does: in a condition, as an address or size, in a call of the
 * host.
 *
 * The method is that of Valgrind's Memcheck and of LLVM's MemorySanitizer (Seward and Nethercote,
 * 2005; Stepanov and Serebryany, 2015).
 */
import { ByteReader } from "../module/bytes.ts";
import type { CodeReader } from "../module/code.ts";
import { type FunctionType, functionType } from "../module/module.ts";
import { CALLS, isNumeric } from "../module/opcode-row.ts";
import { op, opcodeOf } from "../module/opcodes.ts";
import { blockType } from "../module/reader.ts";
import { F32, F64, I32, I64 } from "../module/value-types.ts";
import type { CodeWriter } from "../module/writer.ts";
import { bitsType } from "./bits.ts";
import { Calls } from "./calls.ts";
import { type FunctionFacts, type Known, Locals } from "./locals.ts";
import { maskOfFlag, numberStep, originMerge } from "./numbers.ts";
import { CONDITION, type FlowSetting } from "./setting.ts";
import { DEFINED, NONE, ShadowStack, type Slot } from "./stack.ts";

interface Frame {
  readonly kind: number;
  readonly height: number;
  readonly params: readonly number[];
  readonly results: readonly number[];
  readonly known: Known;
}

/** Follows numbers, locals, blocks and calls: everything but accesses to memory. */
export class Flow {
  readonly stack: ShadowStack;
  readonly locals: Locals;
  protected readonly setting: FlowSetting;
  readonly #calls: Calls;
  readonly #frames: Frame[] = [];
  /** How many blocks are open in code that is never reached; -1 in code that is. */
  #dead = -1;
  /** Bytes of the function's frame on the stack, if it was made by the last instruction. */
  #stackFrame = 0;
  #hasStackFrame = false;

  constructor(setting: FlowSetting, code: CodeWriter, index: number, facts: FunctionFacts) {
    const { module } = setting;
    this.setting = setting;
    this.stack = new ShadowStack(module.bytes, code);
    this.locals = new Locals(this.stack, facts);
    this.#calls = new Calls(setting, this.stack, index, (slot, use) => this.check(slot, use));
    const { results } = functionType(module, index);
    this.#frameOpen(op.block, { params: [], results }, 0);
  }

  get code(): CodeWriter {
    return this.stack.code;
  }

  /** Whether the code here is never reached: it is copied as it is. */
  get isDead(): boolean {
    return this.#dead >= 0;
  }

  begin(): void {
    this.#calls.begin();
  }

  /** Writes code before an instruction. */
  before(at: CodeReader): void {
    if (this.isDead) return;
    const row = opcodeOf(at.op);
    this.#stackFrameFind(at.op);
    if (isNumeric(row)) numberStep(this.stack, this.setting.functions.tests, row);
    else if (!this.#operand(at) && !this.#block(at)) this.#leave(at);
  }

  /** Writes code behind an instruction. */
  after(at: CodeReader): void {
    if (this.isDead) this.#deadFollow(at);
    else if (this.#stackFrame > 0) this.#stackFrameMake();
    else this.#calls.after();
  }

  /** Writes code that reports undefined bits of an operand; from then on it counts as defined. */
  check(slot: Slot, use: number): void {
    if (slot.bits === DEFINED) return;
    this.stack.flagPush(slot);
    this.code.if();
    this.stack.originPush(slot);
    this.code.const(use).call(this.setting.functions.report);
    this.stack.bitsPush({ ...slot, bits: DEFINED });
    this.code.set(slot.bits).end();
    this.locals.checked(slot);
  }

  /** The same for a condition: it is true for certain if any defined bit is set. */
  #conditionCheck(): void {
    const { stack, code } = this;
    const [slot] = stack.slots.slice(-1) as [Slot];
    if (slot.bits === DEFINED) {
      stack.pop();
      return;
    }
    stack.valuesKeep(1);
    stack.pop();
    code.get(slot.bits).if();
    this.#isOpenPush(slot);
    code.if();
    stack.originPush(slot);
    code.const(CONDITION).call(this.setting.functions.report).end();
    code.const(0).set(slot.bits).end();
    this.locals.checked(slot);
  }

  /** Pushes 1 if undefined bits decide whether a value is 0. */
  #isOpenPush(slot: Slot): void {
    this.stack.valuePush(slot);
    this.code.get(slot.bits).call(this.setting.functions.tests.zero[I32] as number);
  }

  // Operands

  #operand(at: CodeReader): boolean {
    const { stack } = this;
    const constant = [at.start, at.at] as const;
    if (at.op === op.localGet) this.locals.get(at.index);
    else if (at.op === op.localSet) this.locals.set(at.index, stack.pop());
    else if (at.op === op.localTee) {
      this.locals.set(at.index, stack.pop());
      this.locals.get(at.index);
    } else if (at.op === op.i32Const) stack.push({ type: I32, constant, number: at.value });
    else if (at.op === op.i64Const) stack.push({ type: I64, constant });
    else if (at.op === op.f32Const) stack.push({ type: F32, constant });
    else if (at.op === op.f64Const) stack.push({ type: F64, constant });
    else if (at.op === op.drop || at.op === op.globalSet) stack.pop();
    else if (at.op === op.select || at.op === op.selectTyped) this.#select();
    else if (at.op === op.globalGet) this.#globalGet(at.index);
    else return false;
    return true;
  }

  /** Globals count as defined: compilers keep no variables of the program in them. */
  #globalGet(index: number): void {
    const type = this.setting.module.globals[index]?.type as number;
    this.stack.push({ type, isStackPointer: index === this.setting.stackPointer });
  }

  #select(): void {
    const { stack, code } = this;
    const [a, b, test] = stack.slots.slice(-3) as [Slot, Slot, Slot];
    const open = [a, b, test].filter((slot) => slot.bits !== DEFINED);
    const isOpen = open.length > 0 && bitsType(a.type) !== 0;
    if (isOpen) stack.valuesKeep(3);
    stack.slots.length -= 3;
    if (!isOpen) {
      stack.push({ type: a.type });
      return;
    }
    const origin = originMerge(stack, open, stack.depth);
    stack.bitsPush(a);
    stack.bitsPush(b);
    stack.valuePush(test);
    code.op(op.select);
    if (test.bits !== DEFINED) {
      this.#isOpenPush(test);
      maskOfFlag(code, a.type);
      code.op(bitsType(a.type) === I64 ? op.i64Or : op.i32Or);
    }
    const bits = stack.bitsLocal(a.type, stack.depth);
    code.set(bits);
    stack.push({ type: a.type, bits, origin });
  }

  // The frame on the stack

  /**
   * A function makes its frame when it subtracts a constant from the stack pointer. If the code
   * does so again, the frame was written already; in a loop it would be made more than once.
   */
  #stackFrameFind(code: number): void {
    this.#stackFrame = 0;
    if (code !== op.i32Sub || this.#hasStackFrame) return;
    const [pointer, size] = this.stack.slots.slice(-2);
    if (pointer?.isStackPointer !== true || size?.number === undefined) return;
    if (this.#frames.some((frame) => frame.kind === op.loop)) return;
    this.#stackFrame = size.number;
    this.#hasStackFrame = true;
  }

  #stackFrameMake(): void {
    const address = this.code.local("frame: address", I32);
    this.code.tee(address).get(address).const(this.#stackFrame);
    this.code.call(this.setting.functions.frame);
    this.#stackFrame = 0;
  }

  // Blocks

  #block(at: CodeReader): boolean {
    if (at.op === op.block || at.op === op.loop) this.#blockOpen(at);
    else if (at.op === op.if) {
      this.#conditionCheck();
      this.#blockOpen(at);
    } else if (at.op === op.else) this.#else();
    else if (at.op === op.end) this.#end();
    else if (at.op === op.brIf) this.#branchIf(at.index);
    else return false;
    return true;
  }

  #blockOpen(at: CodeReader): void {
    this.#frameOpen(at.op, blockType(this.setting.module, at), at.start);
  }

  /** Locals may change inside a block: operands from outside get locals of their own. */
  #frameOpen(kind: number, { params, results }: FunctionType, start: number): void {
    const { depth, slots } = this.stack;
    const height = depth - params.length;
    for (let i = 0; i < depth; i++) {
      if (i >= height || slots[i]?.bits !== DEFINED) this.stack.settle(i);
    }
    const known = this.locals.blockBegin(kind === op.loop ? start : undefined);
    this.#frames.push({ kind, height, params, results, known });
  }

  get #frame(): Frame {
    return this.#frames.at(-1) as Frame;
  }

  #else(): void {
    this.#resultsSettle();
    this.#elseBegin();
  }

  #elseBegin(): void {
    const { known, params } = this.#frame;
    this.#stackReset(params);
    this.locals.elseBegin(known);
  }

  #end(): void {
    if (this.#frames.length === 1) this.#calls.resultStore();
    else this.#resultsSettle();
    this.#close();
  }

  #close(): void {
    const { results, known } = this.#frame;
    if (this.#frames.length > 1) this.#stackReset(results);
    this.locals.blockEnd(known);
    this.#frames.pop();
  }

  /** The stack is as high as when the block began, plus operands of these types. */
  #stackReset(types: readonly number[]): void {
    this.stack.slots.length = this.#frame.height;
    for (const type of types) this.stack.pushOwn(type);
  }

  #resultsSettle(): void {
    const { results, height } = this.#frame;
    for (let i = 0; i < results.length; i++) this.stack.settle(height + i);
  }

  /** Follows code that is never reached, only to find where it ends. */
  #deadFollow(at: CodeReader): void {
    if (at.op === op.block || at.op === op.loop || at.op === op.if) this.#dead++;
    else if (at.op === op.end && this.#dead > 0) this.#dead--;
    else if (at.op === op.end) {
      this.#dead = -1;
      this.#close();
    } else if (at.op === op.else && this.#dead === 0) {
      this.#dead = -1;
      this.#elseBegin();
    }
  }

  // Branches

  /** Branches that are always taken, and calls. */
  #leave(at: CodeReader): void {
    if (at.op === op.br) this.#branch(at.index);
    else if (at.op === op.brTable) this.#branchTable(at);
    else if (at.op === op.return) this.#calls.resultStore();
    else if (opcodeOf(at.op).control & CALLS) {
      if (!this.#calls.before(at)) return;
    } else if (at.op !== op.unreachable) return;
    this.#dead = 0;
  }

  #target(label: number): Frame {
    return this.#frames.at(-1 - label) as Frame;
  }

  /** Moves the undefined bits of the operands that a branch passes to its target. */
  #branch(label: number): void {
    const frame = this.#target(label);
    const types = frame.kind === op.loop ? frame.params : frame.results;
    const from = this.stack.depth - types.length;
    if (frame === this.#frames[0]) this.#calls.resultStore();
    else {
      for (let i = 0; i < types.length; i++) {
        this.stack.moveTo(this.stack.slots[from + i] as Slot, frame.height + i);
      }
    }
  }

  #branchIf(label: number): void {
    const { stack, code } = this;
    const frame = this.#target(label);
    this.#conditionCheck();
    const { length } = frame.kind === op.loop ? frame.params : frame.results;
    const isNear = frame === this.#frames[0] || stack.depth - length === frame.height;
    if (length === 0 || isNear) this.#branch(label);
    else {
      // If the branch is not taken, the operands in between must stay.
      const test = code.local("condition of a branch", I32);
      code.tee(test).if();
      this.#branch(label);
      code.end().get(test);
    }
  }

  /** Operands that br_table passes count as defined: compilers do not use them. */
  #branchTable(at: CodeReader): void {
    this.check(this.stack.pop(), CONDITION);
    const reader = new ByteReader(this.setting.module.bytes, at.start + 1, at.at);
    for (let count = reader.u32(); count >= 0; count--) {
      const frame = this.#target(reader.u32());
      if (frame === this.#frames[0]) this.#calls.resultStore();
      else this.#operandsClear(frame);
    }
  }

  #operandsClear(frame: Frame): void {
    const types = frame.kind === op.loop ? frame.params : frame.results;
    types.forEach((type, i) => {
      this.stack.moveTo({ type, bits: DEFINED, origin: NONE, value: NONE }, frame.height + i);
    });
  }
}
