/**
 * Makes a module's allocator functions call those of a heap, so that its program runs on another
 * allocator.
 */
import { argument } from "../allocators/arguments.ts";
import type { AllocatorFunction, Role } from "../allocators/roles.ts";
import { CodeReader } from "../module/code.ts";
import { ModuleEditor } from "../module/editor.ts";
import type { Limits, Module } from "../module/module.ts";
import { op } from "../module/opcodes.ts";
import { I32 } from "../module/value-types.ts";
import { type CodeWriter, i32s } from "../module/writer.ts";
import {
  bodyWrite,
  type HeapFunction,
  type HeapTarget,
  heapFunctions,
} from "../override/bodies.ts";
import { heapImport } from "../override/import.ts";
import { HOST_MODULE } from "../shadow/allocator-hooks.ts";

/** Called after each call with its action, pointer before and after, count, size, alignment. */
export type LogCall = (
  action: number,
  ptr: number,
  result: number,
  count: number,
  size: number,
  align: number,
) => void;

/** Actions that are logged; the log gets the index. */
export const LOGGED: readonly string[] = ["alloc", "zero", "free", "realloc", "posix"];

interface RebindOptions {
  /** Whether blocks come from an imported heap, or from the module's own functions. */
  readonly heap: boolean;
  /** Whether every call is logged to the import `log`. */
  readonly log: boolean;
  /** Limits of the memory, which is imported as `terrane.memory`. */
  readonly limits: Limits;
}

/** The module with its allocator functions bound to the imports of `terrane`. */
export function rebind(
  module: Module,
  functions: readonly AllocatorFunction[],
  options: RebindOptions,
): Uint8Array<ArrayBuffer> {
  return new Rebinder(module, options).write(functions);
}

const EMPTY_BLOCK = 0x40;
const EXNREF = 0x69;
/** One clause of try_table: all exceptions go to label 0, as references. */
const CATCH_ALL_REF: readonly number[] = [1, 3, 0];

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

class Rebinder {
  readonly #editor: ModuleEditor;
  readonly #options: RebindOptions;
  readonly #heap: HeapTarget | undefined;
  readonly #log: number;
  readonly #depth: number;
  /** The instruction with which the module catches exceptions; undefined if it has none. */
  readonly #catches: number | undefined;

  constructor(module: Module, options: RebindOptions) {
    const editor = new ModuleEditor(module);
    this.#editor = editor;
    this.#options = options;
    if (options.heap) this.#heap = heapImport(editor, Object.keys(heapFunctions) as HeapFunction[]);
    this.#log = options.log ? editor.importFunction(HOST_MODULE, "log", i32s(6), []) : -1;
    this.#depth = editor.addGlobal(I32, true, 0);
    if (options.log) this.#catches = catchesFind(module);
    if (!module.memories[0]?.imported) {
      editor.setMemory(options.limits, { module: HOST_MODULE, name: "memory" });
    }
  }

  write(functions: readonly AllocatorFunction[]): Uint8Array<ArrayBuffer> {
    for (const { index, role, name } of functions) {
      const heap = this.#heap;
      if (role.family === "assemblyscript" && heap) continue;
      if (heap) this.#replace(index, role, (code) => bodyWrite(code, role, heap));
      else if (this.#options.log) {
        const own = this.#editor.keepOriginal(index, `${name} (original)`);
        this.#replace(index, role, (code) => this.#ownCall(code, role, own));
      }
    }
    return this.#editor.write().bytes;
  }

  #replace(index: number, role: Role, call: (code: CodeWriter) => void): void {
    this.#editor.replaceFunction(index, (code) => {
      call(code);
      if (this.#options.log && LOGGED.includes(role.action)) this.#logCall(code, role);
    });
  }

  /** The module's own functions call each other: only the outermost call is logged. */
  #ownCall(code: CodeWriter, role: Role, own: number): void {
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

  #logCall(code: CodeWriter, role: Role): void {
    const result = code.local("result of a call", I32);
    if (role.returns) code.set(result);
    code.with(op.globalGet, this.#depth).op(op.i32Eqz).if();
    code.const(LOGGED.indexOf(role.action));
    argument(code, role, role.action === "posix" ? "out" : "ptr", 0);
    code.get(result);
    argument(code, role, "count", 1);
    argument(code, role, "size", 0);
    argument(code, role, "align", 0);
    code.call(this.#log).end();
    if (role.returns) code.get(result);
  }
}
