/**
 * Makes a module's allocator functions call those of a heap, so that its program runs on another
 * allocator.
 */
import { argument } from "../allocators/arguments.ts";
import type { AllocatorFunction, Role } from "../allocators/roles.ts";
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

class Rebinder {
  readonly #editor: ModuleEditor;
  readonly #options: RebindOptions;
  readonly #heap: HeapTarget | undefined;
  readonly #log: number;
  readonly #depth: number;

  constructor(module: Module, options: RebindOptions) {
    const editor = new ModuleEditor(module);
    this.#editor = editor;
    this.#options = options;
    if (options.heap) this.#heap = heapImport(editor, Object.keys(heapFunctions) as HeapFunction[]);
    this.#log = options.log ? editor.importFunction(HOST_MODULE, "log", i32s(6), []) : -1;
    this.#depth = editor.addGlobal(I32, true, 0);
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
    for (let i = 0; i < role.params.length; i++) code.get(i);
    code.call(own);
    this.#depthAdd(code, -1);
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
