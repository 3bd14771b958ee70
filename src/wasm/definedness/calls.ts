/**
 * Calls: undefined bits of arguments and results are passed in globals. The caller also stores the
 * type of the function that they are for, so that a function that the host calls ignores them.
 */
import type { CodeReader } from "../module/code.ts";
import { type FunctionType, functionType } from "../module/module.ts";
import { op } from "../module/opcodes.ts";
import { I32 } from "../module/value-types.ts";
import { bitsType } from "./bits.ts";
import { ADDRESS, ARGUMENTS, type FlowSetting, HOST_CALL } from "./setting.ts";
import { DEFINED, type ShadowStack, type Slot } from "./stack.ts";

/** Writes code that reports an operand with undefined bits. */
type Check = (slot: Slot, use: number) => void;

export class Calls {
  readonly #setting: FlowSetting;
  readonly #stack: ShadowStack;
  readonly #type: FunctionType;
  readonly #typeNumber: number;
  readonly #check: Check;
  /** The type of the result of the current call, whose undefined bits are fetched behind it. */
  #awaited: number | undefined;

  constructor(setting: FlowSetting, stack: ShadowStack, index: number, check: Check) {
    const { module, typeNumbers } = setting;
    this.#setting = setting;
    this.#stack = stack;
    this.#type = functionType(module, index);
    this.#typeNumber = typeNumbers[module.functions[index] as number] as number;
    this.#check = check;
  }

  /** The function begins: its arguments have undefined bits only if the caller has stored them. */
  begin(): void {
    const { callee, arguments: globals, argumentOrigin } = this.#setting.functions;
    const params = this.#type.params.slice(0, ARGUMENTS);
    if (!params.some((type) => bitsType(type) !== 0)) return;
    const { code } = this.#stack;
    code.with(op.globalGet, callee).const(this.#typeNumber).op(op.i32Eq).if();
    params.forEach((type, i) => {
      if (bitsType(type) === 0) return;
      code.with(op.globalGet, globals[i] as number);
      if (bitsType(type) === I32) code.op(op.i32WrapI64);
      code.set(this.#stack.ofLocal(type, i));
      code.with(op.globalGet, argumentOrigin).set(this.#stack.originOfLocal(i));
    });
    code.const(0).with(op.globalSet, callee).end();
  }

  /** The function ends: stores the undefined bits of its result for the caller. */
  resultStore(): void {
    const [type, ...rest] = this.#type.results;
    if (type === undefined || rest.length > 0 || bitsType(type) === 0) return;
    const { result, resultOrigin } = this.#setting.functions;
    const slot = this.#stack.slots.at(-1) as Slot;
    this.#widePush(slot);
    this.#stack.code.with(op.globalSet, result);
    if (slot.bits === DEFINED) return;
    this.#stack.originPush(slot);
    this.#stack.code.with(op.globalSet, resultOrigin);
  }

  #widePush(slot: Slot): void {
    const { code } = this.#stack;
    if (slot.bits === DEFINED) code.const64(0n);
    else code.get(slot.bits);
    if (slot.bits !== DEFINED && bitsType(slot.type) === I32) code.op(op.i64ExtendI32U);
  }

  /** Writes code before a call; returns whether it is a tail call. */
  before(at: CodeReader): boolean {
    const { module, isFollowed } = this.#setting;
    const isDirect = at.op === op.call || at.op === op.returnCall;
    const type = isDirect ? functionType(module, at.index) : module.types[at.index];
    if (!isDirect) this.#check(this.#stack.pop(), ADDRESS);
    const followed = !isDirect || isFollowed(at.index);
    this.#argumentsTake(type as FunctionType, followed, at, isDirect);
    if (at.op === op.returnCall || at.op === op.returnCallIndirect) return true;
    this.#resultAwait(type as FunctionType, followed, isDirect);
    return false;
  }

  #resultAwait({ results }: FunctionType, followed: boolean, isDirect: boolean): void {
    const [result] = results;
    if (!followed || results.length !== 1 || bitsType(result as number) === 0) {
      for (const each of results) this.#stack.push({ type: each });
      return;
    }
    // A function that is not followed does not change this global.
    if (!isDirect) this.#stack.code.const64(0n).with(op.globalSet, this.#setting.functions.result);
    this.#awaited = result;
  }

  /** Writes code behind a call. */
  after(): void {
    if (this.#awaited === undefined) return;
    const { result, resultOrigin } = this.#setting.functions;
    const { code, depth } = this.#stack;
    code.with(op.globalGet, result);
    if (bitsType(this.#awaited) === I32) code.op(op.i32WrapI64);
    code.set(this.#stack.bitsLocal(this.#awaited, depth));
    code.with(op.globalGet, resultOrigin).set(this.#stack.originLocal(depth));
    this.#stack.pushOwn(this.#awaited);
    this.#awaited = undefined;
  }

  #argumentsTake(type: FunctionType, followed: boolean, at: CodeReader, isDirect: boolean): void {
    const { module, typeNumbers, isLenient } = this.#setting;
    const slots = this.#stack.slots.splice(this.#stack.depth - type.params.length);
    const open = slots.filter((slot, i) => i < ARGUMENTS && slot.bits !== DEFINED);
    if (open.length === 0) return;
    const typeIndex = isDirect ? (module.functions[at.index] as number) : at.index;
    if (followed) this.#argumentsStore(slots, open, typeNumbers[typeIndex] as number);
    else if (!isLenient(at.index)) for (const slot of open) this.#check(slot, HOST_CALL);
  }

  #argumentsStore(slots: readonly Slot[], open: readonly Slot[], typeNumber: number): void {
    const { callee, arguments: globals, argumentOrigin } = this.#setting.functions;
    const { code } = this.#stack;
    this.#stack.flagsPush(open);
    code.if();
    slots.slice(0, ARGUMENTS).forEach((slot, i) => {
      if (bitsType(slot.type) === 0) return;
      this.#widePush(slot);
      code.with(op.globalSet, globals[i] as number);
    });
    for (const slot of open) {
      this.#stack.flagPush(slot);
      code.if();
      this.#stack.originPush(slot);
      code.with(op.globalSet, argumentOrigin).end();
    }
    code.const(typeNumber).with(op.globalSet, callee).end();
  }
}
