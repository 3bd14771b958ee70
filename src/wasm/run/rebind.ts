/**
 * Makes a module's allocator functions call those of a heap, so that its program runs on another
 * allocator.
 */
import { argument } from "../allocators/arguments.ts";
import type { AllocatorFunction, Role } from "../allocators/roles.ts";
import { ModuleEditor } from "../module/editor.ts";
import type { Limits, Module } from "../module/module.ts";
import { I32 } from "../module/value-types.ts";
import { type CodeWriter, i32s } from "../module/writer.ts";
import {
  bodyWrite,
  type HeapFunction,
  type HeapTarget,
  heapFunctions,
} from "../override/bodies.ts";
import { type HeaderForm, HeaderHeap } from "../override/headers.ts";
import { heapImport } from "../override/import.ts";
import { HOST_MODULE } from "../shadow/allocator-hooks.ts";
import { OwnCalls } from "../shadow/own-calls.ts";

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
  decision: Bindings,
  options: RebindOptions,
): Uint8Array<ArrayBuffer> {
  return new Rebinder(module, options, decision).write();
}

/** The functions to bind: what was decided about the module's allocator. */
export interface Bindings {
  readonly functions: readonly AllocatorFunction[];
  /** Indices of those that keep their bodies where blocks come from a heap. */
  readonly kept: ReadonlySet<number>;
  readonly header: HeaderForm | undefined;
}

class Rebinder {
  readonly #editor: ModuleEditor;
  readonly #heap: HeapTarget | undefined;
  readonly #log: number;
  /** Undefined where nothing is logged. */
  readonly #calls: OwnCalls | undefined;

  readonly #bindings: Bindings;

  constructor(module: Module, options: RebindOptions, bindings: Bindings) {
    const editor = new ModuleEditor(module);
    this.#editor = editor;
    this.#bindings = bindings;
    const names = Object.keys(heapFunctions) as HeapFunction[];
    const heap = options.heap ? heapImport(editor, names) : undefined;
    this.#log = options.log ? editor.importFunction(HOST_MODULE, "log", i32s(6), []) : -1;
    this.#calls = options.log ? new OwnCalls(editor) : undefined;
    const { header } = bindings;
    this.#heap = heap && header ? new HeaderHeap(editor, heap, header) : heap;
    if (!module.memories[0]?.imported) {
      editor.setMemory(options.limits, { module: HOST_MODULE, name: "memory" });
    }
  }

  write(): Uint8Array<ArrayBuffer> {
    const { functions, kept } = this.#bindings;
    for (const { index, role, name } of functions) {
      const [heap, calls] = [this.#heap, this.#calls];
      if (heap && (role.family === "assemblyscript" || kept.has(index))) continue;
      if (heap) this.#replace(index, role, (code) => bodyWrite(code, role, heap));
      else if (calls) {
        const own = this.#editor.keepOriginal(index, `${name} (original)`);
        this.#replace(index, role, (code) => calls.call(code, role, own));
      }
    }
    return this.#editor.write().bytes;
  }

  #replace(index: number, role: Role, call: (code: CodeWriter) => void): void {
    this.#editor.replaceFunction(index, (code) => {
      call(code);
      const calls = this.#calls;
      if (calls && LOGGED.includes(role.action)) this.#logCall(code, role, calls);
    });
  }

  #logCall(code: CodeWriter, role: Role, calls: OwnCalls): void {
    const result = code.local("result of a call", I32);
    if (role.returns) code.set(result);
    calls.isOutermost(code);
    code.if();
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
