/**
 * Lets a module's allocator functions call a heap's: the way to run a program on another
 * allocator.
 */
import type { HeapAbi } from "../abi.ts";
import { argument, trapIfNull } from "./arguments.ts";
import { ModuleEditor } from "./editor.ts";
import type { AllocatorFunction } from "./finder.ts";
import { HOST_MODULE } from "./hooks.ts";
import type { Limits, Module } from "./module.ts";
import { I32, op } from "./opcodes.ts";
import type { Param, Role } from "./roles.ts";
import { type CodeWriter, i32s } from "./writer.ts";

/** Blocks of C's malloc are aligned to this; what needs more goes through memalign. */
const ALIGNMENT = 16;

/** The functions of a heap that bodies call, with how many parameters each has. */
const abi = {
  malloc: 1,
  free: 1,
  calloc: 2,
  realloc: 2,
  reallocarray: 3,
  memalign: 2,
  posix_memalign: 3,
  malloc_usable_size: 1,
} as const satisfies Partial<Record<keyof HeapAbi, number>>;

type AbiIndices = Readonly<Record<keyof typeof abi, number>>;

/** Told after each call: what it was, its pointer before and after, count, size, alignment. */
export type CallLog = (
  action: number,
  ptr: number,
  result: number,
  count: number,
  size: number,
  align: number,
) => void;

/** The numbers by which a log is told what a call was. */
export const LOGGED: readonly string[] = ["alloc", "zero", "free", "realloc", "posix"];

export interface RebindOptions {
  /**
   * Whether blocks come from the heap that is imported, or still from the module's own functions.
   */
  readonly heap: boolean;
  /** Whether every call is told to the import `log`. */
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
  readonly #abi: AbiIndices;
  readonly #log: number;
  readonly #depth: number;

  constructor(module: Module, options: RebindOptions) {
    const editor = new ModuleEditor(module);
    this.#editor = editor;
    this.#options = options;
    const entries = Object.entries(options.heap ? abi : {}).map(([name, count]) => {
      const results = name === "free" ? 0 : 1;
      return [name, editor.importFunction(HOST_MODULE, name, i32s(count), i32s(results))];
    });
    this.#abi = Object.fromEntries(entries) as AbiIndices;
    this.#log = options.log ? editor.importFunction(HOST_MODULE, "log", i32s(6), []) : -1;
    this.#depth = editor.addGlobal(I32, true, 0);
    if (!module.memories[0]?.imported) {
      editor.memorySet(options.limits, { module: HOST_MODULE, name: "memory" });
    }
  }

  write(functions: readonly AllocatorFunction[]): Uint8Array<ArrayBuffer> {
    for (const { index, role, name } of functions) {
      if (role.family === "assemblyscript" && this.#options.heap) continue;
      if (this.#options.heap) this.#replace(index, role, (code) => this.#heapCall(code, role));
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

  /** The module's own functions call each other: only the outermost call is told. */
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
    const result = code.local(I32, 0);
    if (role.answers) code.set(result);
    code.with(op.globalGet, this.#depth).op(op.i32Eqz).if();
    code.const(LOGGED.indexOf(role.action));
    argument(code, role, role.action === "posix" ? "out" : "ptr", 0);
    code.get(result);
    argument(code, role, "count", 1);
    argument(code, role, "size", 0);
    argument(code, role, "align", 0);
    code.call(this.#log).end();
    if (role.answers) code.get(result);
  }

  #heapCall(code: CodeWriter, role: Role): void {
    const { malloc_usable_size: usable, posix_memalign: posix, free } = this.#abi;
    const has = (param: Param) => role.params.includes(param);
    if (role.action === "refuse") code.const(0);
    else if (role.action === "free") this.#pass(code, role, free, "ptr");
    else if (role.action === "usable") this.#pass(code, role, usable, "ptr");
    else if (role.action === "posix") this.#pass(code, role, posix, "out", "align", "size");
    else if (!has("align") && !has("log2")) this.#unaligned(code, role);
    else this.#aligned(code, role);
  }

  #pass(code: CodeWriter, role: Role, index: number, ...params: readonly Param[]): void {
    for (const param of params) argument(code, role, param, 0);
    code.call(index);
  }

  #unaligned(code: CodeWriter, role: Role): void {
    const { malloc, calloc, realloc, reallocarray } = this.#abi;
    if (role.action === "zero") this.#pass(code, role, calloc, "count", "size");
    else if (role.action === "alloc") {
      this.#pass(code, role, malloc, "size");
      const isThrowing = role.name.startsWith("operator new") && !role.params.includes("-");
      if (isThrowing) trapIfNull(code);
    } else if (!role.params.includes("count")) this.#pass(code, role, realloc, "ptr", "size");
    else this.#pass(code, role, reallocarray, "ptr", "count", "size");
  }

  /** Where the alignment is an argument, most calls need none beyond malloc's. */
  #aligned(code: CodeWriter, role: Role): void {
    argument(code, role, "align", 0);
    code.const(ALIGNMENT).op(op.i32LeU).op(op.if, I32);
    if (role.action === "zero") {
      code.const(1);
      this.#pass(code, role, this.#abi.calloc, "size");
    } else this.#unaligned(code, role);
    code.op(op.else);
    this.#pass(code, role, this.#abi.memalign, "align", "size");
    if (role.action === "zero") zeroFill(code, role);
    if (role.action === "realloc") this.#move(code, role);
    code.end();
  }

  /** Takes the new block from the stack and leaves it there, with the old one's contents. */
  #move(code: CodeWriter, role: Role): void {
    const moved = code.local(I32, 1);
    code.tee(moved).if().get(moved);
    argument(code, role, "ptr", 0);
    for (const param of ["old", "size", "old", "size"] as const) argument(code, role, param, 0);
    code.op(op.i32LtU, op.select).memoryCopy();
    argument(code, role, "ptr", 0);
    code.call(this.#abi.free).end().get(moved);
  }
}

function zeroFill(code: CodeWriter, role: Role): void {
  const block = code.local(I32, 1);
  code.tee(block).if().get(block).const(0);
  argument(code, role, "size", 0);
  code.memoryFill().end().get(block);
}
