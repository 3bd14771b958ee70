/**
 * Calls of a program's own allocator from bodies that stand in its place. Its functions call each
 * other: only the outermost call counts, which a global that counts open calls tells apart.
 */
import type { Role } from "../allocators/roles.ts";
import { CodeReader } from "../module/code.ts";
import type { ModuleEditor } from "../module/editor.ts";
import type { Module } from "../module/module.ts";
import { op } from "../module/opcodes.ts";
import { I32 } from "../module/value-types.ts";
import type { CodeWriter } from "../module/writer.ts";

const EMPTY_BLOCK = 0x40;
const EXNREF = 0x69;
/** One clause of try_table: all exceptions go to label 0, as references. */
const CATCH_ALL_REF: readonly number[] = [1, 3, 0];

export class OwnCalls {
  /** Global: how many calls of the allocator are open. */
  readonly #depth: number;
  /** The instruction with which the module catches exceptions; undefined if it has none. */
  readonly #catches: number | undefined;

  constructor(editor: ModuleEditor) {
    this.#depth = editor.addGlobal(I32, true, 0);
    this.#catches = catchesFind(editor.module);
  }

  /** Calls the original with the parameters of the body; its result stays on the stack. */
  call(code: CodeWriter, role: Role, own: number): void {
    this.#depthAdd(code, 1);
    const type = role.returns ? I32 : EMPTY_BLOCK;
    const call = () => {
      for (let i = 0; i < role.params.length; i++) code.get(i);
      code.call(own);
    };
    if (this.#catches === op.try) this.#tryCall(code, type, call);
    else if (this.#catches === op.tryTable) this.#tryTableCall(code, type, call);
    else call();
    this.#depthAdd(code, -1);
  }

  /** Pushes whether no call of the allocator is open. */
  isOutermost(code: CodeWriter): void {
    code.with(op.globalGet, this.#depth).op(op.i32Eqz);
  }

  /** An exception that leaves the function leaves its depth, too. */
  #tryCall(code: CodeWriter, type: number, call: () => void): void {
    code.op(op.try, type);
    call();
    code.op(op.catchAll);
    this.#depthAdd(code, -1);
    code.with(op.rethrow, 0).end();
  }

  /** The same with the instructions that engines have got later. */
  #tryTableCall(code: CodeWriter, type: number, call: () => void): void {
    code
      .op(op.block, type)
      .op(op.block, EXNREF)
      .op(op.tryTable, type, ...CATCH_ALL_REF);
    call();
    code.end().br(1).end();
    this.#depthAdd(code, -1);
    code.op(op.throwRef).end();
  }

  #depthAdd(code: CodeWriter, step: number): void {
    code.with(op.globalGet, this.#depth).const(step).op(op.i32Add).with(op.globalSet, this.#depth);
  }
}

/** A module that catches nothing ends with its first exception. */
function catchesFind(module: Module): number | undefined {
  for (const body of module.bodies) {
    const reader = new CodeReader(module.bytes, body.code, body.end);
    while (!reader.done) {
      reader.next();
      if (reader.op === op.try || reader.op === op.tryTable) return reader.op;
    }
  }
  return undefined;
}
