/** The merged form: the heap's functions become functions of the module. */
import { WASI_ENOMEM } from "../../common/errno.ts";
import { coreWasm } from "../../core/embed/core-wasm.js";
import { SLICES_MAX } from "../../core/layout/layout.ts";
import type { AllocatorFunction, Role } from "../allocators/roles.ts";
import type { ModuleEditor } from "../module/editor.ts";
import type { Limits, Module } from "../module/module.ts";
import { op } from "../module/opcodes.ts";
import { readModule } from "../module/reader.ts";
import { I32 } from "../module/value-types.ts";
import type { CodeWriter } from "../module/writer.ts";
import type { ProgramBreak } from "../proof/break.ts";
import { bodyEnding, bodyWrite, type HeapFunction, type HeapTarget, isThrowing } from "./bodies.ts";
import { EmbeddedCore } from "./embedded-core.ts";
import { beginWrite, growMemory, growSbrk, sbrkWrite } from "./growth.ts";
import { type HeaderForm, HeaderHeap, headerCallees } from "./headers.ts";
import type { Sbrk } from "./plan.ts";

/** The core's names for the functions that bodies use. */
const coreNames: Readonly<Record<HeapFunction, string>> = {
  malloc: "malloc",
  free: "free",
  calloc: "calloc",
  zalloc: "zalloc",
  realloc: "realloc",
  reallocarray: "reallocarray",
  memalign: "memalign",
  realloc_aligned_at: "reallocAlignedAt",
  malloc_usable_size: "usableSize",
};

/** These are called most: they are inlined at the end of bodies, which saves a call. */
const HOT: readonly HeapFunction[] = ["malloc", "free"];

/** What is merged: a plan has it. */
export interface Merge {
  /** The functions that get other bodies. */
  readonly functions: readonly AllocatorFunction[];
  /** The layout of blocks, if they have headers. */
  readonly header: HeaderForm | undefined;
  /** What is called for more memory; undefined for memory.grow. */
  readonly sbrk?: Omit<Sbrk, "name"> | undefined;
  /** The address of the program's errno, if it was found. */
  readonly errno?: number | undefined;
  /** The limits of the memory. */
  readonly limits: Limits;
}

/** Merges the heap; returns the index of the function that makes it. */
export function mergeInto(editor: ModuleEditor, merge: Merge): number {
  return new Merger(editor, merge).write();
}

class Merger {
  readonly #editor: ModuleEditor;
  readonly #core: EmbeddedCore;
  readonly #replaced: readonly AllocatorFunction[];
  /** The module's functions that get the code of a core's function: those that are called most. */
  readonly #hosts = new Map<HeapFunction, AllocatorFunction>();
  readonly #callees = new Map<HeapFunction, number>();
  /** A function that makes the heap if there is none; returns whether there is one. */
  readonly #begin: number;
  /** Whether the heap begins with the first call instead of the module's start. */
  readonly #late: boolean;
  /** Code that sets the program's errno, where that was found. */
  readonly #failed: ((code: CodeWriter) => void) | undefined;

  /** The heap whose blocks have headers, if the program needs them. */
  readonly #headed: HeaderHeap | undefined;

  constructor(editor: ModuleEditor, plan: Merge) {
    this.#editor = editor;
    this.#replaced = plan.functions;
    this.#late = plan.sbrk !== undefined;
    const grow = plan.sbrk ? growSbrk(sbrkIndex(editor, plan.sbrk)) : growMemory;
    this.#failed = plan.errno === undefined ? undefined : errnoSet(plan.errno);
    this.#core = new EmbeddedCore({ editor, core: coreRead(), grow, failed: this.#failed });
    if (plan.header === undefined) this.#hostsFind(editor.module);
    else this.#headed = new HeaderHeap(editor, this.#target(undefined), plan.header);
    const { grow: grown, top } = this.#core;
    const heapInit = this.#core.index("heapInit");
    const most = Math.min(plan.limits.max ?? SLICES_MAX, SLICES_MAX);
    this.#begin = editor.addFunction(
      "terrane.begin",
      [],
      [I32],
      beginWrite({ grow: grown, heapInit, top, most }),
    );
  }

  /** Bodies are written last, so the functions that they call are added before. */
  write(): number {
    if (this.#headed) this.#calleesAdd(headerCallees);
    else for (const { role } of this.#replaced) this.#calleesOfRole(role);
    for (const planned of this.#replaced) {
      this.#editor.replaceFunction(planned.index, (code) => this.#body(code, planned));
    }
    if (!this.#late) this.#startAdd();
    return this.#begin;
  }

  #hostsFind(module: Module): void {
    const counts = callCounts(module);
    const byCalls = [...this.#replaced].sort((a, b) => {
      return (counts[b.index] as number) - (counts[a.index] as number);
    });
    for (const planned of byCalls) {
      const name = bodyEnding(planned.role).same;
      if (name === undefined || this.#hosts.has(name)) continue;
      this.#hosts.set(name, planned);
      this.#core.hostSet(coreNames[name], this.#editor.functionIndex(planned.index));
    }
  }

  #calleesOfRole(role: Role): void {
    const { called, ended } = bodyEnding(role);
    for (const name of [...called, ...ended]) {
      if (this.#hosts.has(name) || (HOT.includes(name) && !called.has(name))) {
        this.#core.inlinePrepare(coreNames[name]);
      }
      const isInlined = HOT.includes(name) && !called.has(name);
      if (!isInlined) this.#calleesAdd([name]);
    }
  }

  #calleesAdd(names: readonly HeapFunction[]): void {
    for (const name of names) this.#callees.set(name, this.#core.index(coreNames[name]));
  }

  #body(code: CodeWriter, found: AllocatorFunction): void {
    if (this.#late) this.#beginCheck(code, found.role);
    this.#productCheck(code, found.role);
    bodyWrite(code, found.role, this.#headed ?? this.#target(found));
  }

  /** The heap without headers; bodies of the hosts have the code of the heap's functions. */
  #target(found: AllocatorFunction | undefined): HeapTarget {
    const call = (code: CodeWriter, name: HeapFunction) => {
      code.call(this.#callees.get(name) as number);
    };
    const end: HeapTarget["end"] = (code, name, locals, depth) => {
      if (HOT.includes(name) || (found && this.#hosts.get(name) === found)) {
        this.#core.inline(code, coreNames[name], locals, depth);
        return;
      }
      for (const local of locals) code.get(local);
      call(code, name);
    };
    return { call, end };
  }

  /**
   * The program's sbrk may not work before the program's start, so the heap begins when it is
   * needed. A pointer that is freed before then is not a block of the heap.
   */
  #beginCheck(code: CodeWriter, role: Role): void {
    if (role.action === "refuse") return;
    code.with(op.globalGet, this.#core.top).op(op.i32Eqz).if();
    if (role.action === "free") code.op(op.return);
    else {
      code.call(this.#begin).op(op.i32Eqz).if();
      if (isThrowing(role) || role.family === "assemblyscript") code.op(op.unreachable);
      else code.const(role.action === "posix" ? WASI_ENOMEM : 0).op(op.return);
      code.end();
    }
    code.end();
  }

  /** The core tells of no product that is too large, and C's calloc sets errno for it. */
  #productCheck(code: CodeWriter, role: Role): void {
    const [count, size] = (["count", "size"] as const).map((param) => role.params.indexOf(param));
    if (this.#failed === undefined || count === undefined || count < 0) return;
    code.const64(0xffffffffn);
    code.get(count).op(op.i64ExtendI32U);
    code
      .get(size as number)
      .op(op.i64ExtendI32U, op.i64Mul, op.i64LtU)
      .if();
    this.#failed(code);
    code.const(0).op(op.return).end();
  }

  /** Makes the heap before the module's own start, which may allocate; traps without memory. */
  #startAdd(): void {
    const { start } = this.#editor.module;
    const begin = this.#editor.addFunction("terrane.start", [], [], (code) => {
      code.call(this.#begin).op(op.i32Eqz).if().op(op.unreachable).end();
      if (start !== undefined) code.call(this.#editor.functionIndex(start));
    });
    this.#editor.setStart(begin);
  }
}

function sbrkIndex(editor: ModuleEditor, { index, programBreak }: Omit<Sbrk, "name">): number {
  if (index !== undefined) return editor.functionIndex(index);
  const { address, grow } = programBreak as ProgramBreak;
  return editor.addFunction("terrane.sbrk", [I32], [I32], sbrkWrite(address, grow));
}

/** Stores ENOMEM in errno. */
function errnoSet(address: number) {
  return (code: CodeWriter): void => {
    code.const(address).const(WASI_ENOMEM).access(op.i32Store);
  };
}

function coreRead(): Module {
  return readModule(Uint8Array.from(atob(coreWasm), (c) => c.charCodeAt(0)));
}

/** How many calls of each function there are. */
function callCounts(module: Module): Uint32Array {
  const counts = new Uint32Array(module.functions.length);
  for (const callees of module.code.calls) {
    for (const callee of callees) (counts[callee] as number) += 1;
  }
  return counts;
}
