/**
 * The bodies that allocator functions get in a program that keeps its own allocator: they call the
 * original, and tell the host what it has done. A freed block goes back when the host says so.
 */
import { argument } from "../allocators/arguments.ts";
import type { Action, AllocatorFunction, Role } from "../allocators/roles.ts";
import type { ModuleEditor } from "../module/editor.ts";
import { functionType, KIND } from "../module/module.ts";
import { op } from "../module/opcodes.ts";
import { I32 } from "../module/value-types.ts";
import { type CodeWriter, i32s } from "../module/writer.ts";
import { HOST_MODULE } from "./allocator-hooks.ts";
import { OwnCalls } from "./own-calls.ts";

/** The watched module exports the original of a free under this name and its number. */
export const FREE_EXPORT = "terrane:free:";
/** Parameters of the longest free. */
export const FREE_PARAMS = 4;

/** Actions after which there is a new block; `took` gets the index. */
export const TAKING: readonly Action[] = ["alloc", "zero", "realloc", "posix"];

/** The functions of the host that a watched program calls. Numbers are signed. */
export interface WatchHooks {
  /**
   * The allocator has returned.
   *
   * @param action an index in TAKING.
   * @param old the block that realloc got, or where posix_memalign has stored the block.
   * @returns 1 if the call is to be made again, since memory has become free.
   */
  took(
    action: number,
    old: number,
    result: number,
    count: number,
    size: number,
    caller: number,
    context: number,
  ): number;
  /** realloc is about to be called. */
  resizing(ptr: number, caller: number, context: number): void;
  /** free is about to be called with these parameters; returns 1 if it is to be called now. */
  release(a: number, b: number, c: number, d: number, caller: number, context: number): number;
}

type Indices = Readonly<Record<keyof WatchHooks, number>>;

/** Gives the functions of a program's allocator the bodies of this file. */
export class Watching {
  readonly #editor: ModuleEditor;
  readonly #hooks: Indices;

  /** Imports the host's functions. */
  constructor(editor: ModuleEditor) {
    this.#editor = editor;
    const host = (name: keyof WatchHooks, params: number, results: number) =>
      editor.importFunction(HOST_MODULE, name, i32s(params), i32s(results));
    this.#hooks = {
      took: host("took", 7, 1),
      resizing: host("resizing", 3, 0),
      release: host("release", FREE_PARAMS + 2, 1),
    };
  }

  /** @param context a global: the hash of the latest calls. */
  install(functions: readonly AllocatorFunction[], context: number): void {
    const calls = new OwnCalls(this.#editor);
    functions.forEach((found, number) => {
      const writer = new WatchWriter(this.#hooks, calls, found.role, number, context);
      const { index, name, role } = found;
      const isFree = role.action === "free";
      if (!isFree && !TAKING.includes(role.action)) return;
      const own = this.#editor.keepOriginal(index, `${name} (original)`);
      this.#editor.replaceFunction(index, (code) => {
        if (isFree) writer.free(code, own);
        else writer.take(code, own);
      });
      if (isFree) this.#freeExport(index, number, (code) => calls.call(code, role, own));
    });
  }

  #freeExport(index: number, number: number, emit: (code: CodeWriter) => void): void {
    const { params, results } = functionType(this.#editor.module, index);
    const added = this.#editor.addFunction(`free ${number}`, [...params], [...results], emit);
    this.#editor.addExport(`${FREE_EXPORT}${number}`, KIND.function, added);
  }
}

class WatchWriter {
  readonly #hooks: Indices;
  readonly #calls: OwnCalls;
  readonly #role: Role;
  readonly #number: number;
  readonly #context: number;

  constructor(hooks: Indices, calls: OwnCalls, role: Role, number: number, context: number) {
    this.#hooks = hooks;
    this.#calls = calls;
    this.#role = role;
    this.#number = number;
    this.#context = context;
  }

  take(code: CodeWriter, own: number): void {
    const role = this.#role;
    const result = code.local("result of a watched call", I32);
    if (role.action === "realloc") this.#resizing(code);
    code.loop();
    this.#calls.call(code, role, own);
    code.set(result);
    this.#calls.isOutermost(code);
    code.if().const(TAKING.indexOf(role.action));
    argument(code, role, role.action === "posix" ? "out" : "ptr", 0);
    code.get(result);
    argument(code, role, "count", 1);
    argument(code, role, "size", 0);
    this.#caller(code);
    code.call(this.#hooks.took).brIf(1).end().end().get(result);
  }

  #resizing(code: CodeWriter): void {
    this.#calls.isOutermost(code);
    code.if();
    argument(code, this.#role, "ptr", 0);
    this.#caller(code);
    code.call(this.#hooks.resizing).end();
  }

  free(code: CodeWriter, own: number): void {
    const { params } = this.#role;
    this.#calls.isOutermost(code);
    code.if();
    for (let i = 0; i < FREE_PARAMS; i++) {
      if (i < params.length) code.get(i);
      else code.const(0);
    }
    this.#caller(code);
    code.call(this.#hooks.release).op(op.i32Eqz).if().op(op.return).end().end();
    this.#calls.call(code, this.#role, own);
  }

  #caller(code: CodeWriter): void {
    code.const(this.#number).with(op.globalGet, this.#context);
  }
}
