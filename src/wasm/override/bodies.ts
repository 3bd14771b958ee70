/**
 * The bodies that allocator functions get: they pass their arguments to a function of the heap, in
 * its order.
 */
import { WASI_EINVAL, WASI_ENOMEM } from "../../common/errno.ts";
import { argument, trapIfNull } from "../allocators/arguments.ts";
import type { Param, Role } from "../allocators/roles.ts";
import { op } from "../module/opcodes.ts";
import { I32 } from "../module/value-types.ts";
import { CodeWriter } from "../module/writer.ts";

/** The functions of a heap that bodies call, and how many parameters each has. */
export const heapFunctions = {
  malloc: 1,
  free: 1,
  calloc: 2,
  zalloc: 1,
  realloc: 2,
  reallocarray: 3,
  memalign: 2,
  realloc_aligned_at: 4,
  malloc_usable_size: 1,
} as const;

export type HeapFunction = keyof typeof heapFunctions;

/** How bodies call the functions of a heap. */
export interface HeapTarget {
  /** Writes a call of a function whose arguments are on the stack. */
  call(code: CodeWriter, name: HeapFunction): void;
  /**
   * Writes the call of a function as the end of the body: its result is left on the stack, or
   * returned. The locals hold the arguments; `depth` blocks are open.
   */
  end(code: CodeWriter, name: HeapFunction, locals: readonly number[], depth: number): void;
}

/** Every block is aligned to this; blocks that need more come from memalign. */
const ALIGNMENT = 8;
/** Bytes before a block of AssemblyScript; the last word is the runtime's header. */
const HEADER_BYTES = 16;
/** Sizes of its payloads are 12 modulo 16, so that the next header fits. */
const PAYLOAD_ROUND = 19;
const PAYLOAD_REST = 4;
/** The largest payload that its runtime allows. */
const PAYLOAD_MOST = (1 << 30) - 20;

/** Whether a function is a throwing operator new, which never returns null. */
export function isThrowing({ name, params }: Role): boolean {
  return name.startsWith("operator new") && !params.includes("-");
}

interface Ending {
  /** Functions of the heap that the body calls before its end. */
  readonly called: ReadonlySet<HeapFunction>;
  /** Functions whose call ends the body. */
  readonly ended: ReadonlySet<HeapFunction>;
  /** The function of the heap that does the same with the same parameters, if there is one. */
  readonly same: HeapFunction | undefined;
}

/** The functions that a body of this role needs, found by writing one. */
export function bodyEnding(role: Role): Ending {
  const called = new Set<HeapFunction>();
  const ended = new Set<HeapFunction>();
  const code = new CodeWriter();
  let same: HeapFunction | undefined;
  bodyWrite(code, role, {
    call: (_, name) => called.add(name),
    end: (_, name, locals) => {
      ended.add(name);
      const isSame = locals.length === role.params.length && locals.every((each, i) => each === i);
      if (isSame && code.length === 0) same = name;
    },
  });
  return { called, ended, same };
}

function assemblyScriptBlock(code: CodeWriter): number {
  return code.local("AssemblyScript's block", I32);
}

/** Writes the body of a function of this role. */
export function bodyWrite(code: CodeWriter, role: Role, heap: HeapTarget): void {
  new BodyWriter(code, role, heap).write();
}

class BodyWriter {
  readonly #code: CodeWriter;
  readonly #role: Role;
  readonly #heap: HeapTarget;

  constructor(code: CodeWriter, role: Role, heap: HeapTarget) {
    this.#code = code;
    this.#role = role;
    this.#heap = heap;
  }

  write(): void {
    const { action, family, params } = this.#role;
    if (action === "refuse") this.#code.const(0);
    else if (family === "assemblyscript") this.#assemblyScript();
    else if (action === "free") this.#end("free", "ptr");
    else if (action === "usable") this.#end("malloc_usable_size", "ptr");
    else if (action === "posix") this.#posix();
    else if (params.includes("align") || params.includes("log2")) this.#aligned();
    else this.#unaligned();
    if (isThrowing(this.#role)) trapIfNull(this.#code);
  }

  #local(param: Param): number {
    return this.#role.params.indexOf(param);
  }

  #end(name: HeapFunction, ...params: readonly Param[]): void {
    this.#endAt(name, 0, params);
  }

  #endAt(name: HeapFunction, depth: number, params: readonly Param[]): void {
    const locals = params.map((param) => this.#local(param));
    // A body that tests the result cannot end with the call.
    if (!isThrowing(this.#role)) this.#heap.end(this.#code, name, locals, depth);
    else {
      for (const local of locals) this.#code.get(local);
      this.#heap.call(this.#code, name);
    }
  }

  #unaligned(depth = 0): void {
    const { action, params } = this.#role;
    if (action === "alloc") this.#endAt("malloc", depth, ["size"]);
    else if (action === "zero" && params.includes("count")) {
      this.#endAt("calloc", depth, ["count", "size"]);
    } else if (action === "zero") this.#endAt("zalloc", depth, ["size"]);
    else if (params.includes("count")) this.#endAt("reallocarray", depth, ["ptr", "count", "size"]);
    else this.#endAt("realloc", depth, ["ptr", "size"]);
  }

  /**
   * Calls of C's memalign need their alignment. Where every allocation names one, most need no more
   * than malloc's.
   */
  #aligned(): void {
    const { action, params } = this.#role;
    if (action === "alloc" && params[0] === "align") {
      this.#end("memalign", "align", "size");
      return;
    }
    this.#align();
    this.#code.const(ALIGNMENT).op(op.i32GtU, op.if, I32);
    this.#overaligned();
    this.#code.op(op.else);
    this.#unaligned(1);
    this.#code.end();
  }

  #align(): void {
    argument(this.#code, this.#role, "align", 0);
  }

  /** Pushes a block with more than the usual alignment. */
  #overaligned(): void {
    const code = this.#code;
    if (this.#role.action === "realloc") {
      code.get(this.#local("ptr")).get(this.#local("size"));
      this.#align();
      code.const(0);
      this.#heap.call(code, "realloc_aligned_at");
      return;
    }
    this.#align();
    code.get(this.#local("size"));
    this.#heap.call(code, "memalign");
    if (this.#role.action === "zero") this.#zeroFill();
  }

  #zeroFill(): void {
    const code = this.#code;
    const block = code.local("zeroed block", I32);
    code.tee(block).if().get(block).const(0).get(this.#local("size"));
    code.memoryFill().end().get(block);
  }

  /** Returns an error code, as POSIX has it, and does not set errno. */
  #posix(): void {
    const code = this.#code;
    const [out, align, size] = (["out", "align", "size"] as const).map((p) => this.#local(p)) as [
      number,
      number,
      number,
    ];
    const block = code.local("block to store", I32);
    code.get(align).const(4).op(op.i32LtU);
    code.get(align).get(align).const(1).op(op.i32Sub, op.i32And, op.i32Or);
    code.op(op.if, I32).const(WASI_EINVAL).op(op.else);
    code.get(align).get(size);
    this.#heap.call(code, "memalign");
    code.tee(block).op(op.if, I32).get(out).get(block).access(op.i32Store).const(0);
    code.op(op.else).const(WASI_ENOMEM).end().end();
  }

  /** AssemblyScript's collector reads the payload's size from the word before the block. */
  #assemblyScript(): void {
    const code = this.#code;
    const ptr = this.#local("ptr");
    if (this.#role.action === "free") {
      code.get(ptr).const(HEADER_BYTES).op(op.i32Sub).set(ptr);
      this.#heap.end(code, "free", [ptr], 0);
      return;
    }
    const size = this.#local("size");
    const payload = code.local("payload", I32);
    code.get(size).const(PAYLOAD_MOST).op(op.i32GtU).if().op(op.unreachable).end();
    if (ptr >= 0) code.get(ptr).const(HEADER_BYTES).op(op.i32Sub);
    code.get(size).const(PAYLOAD_ROUND).op(op.i32Add).const(~15).op(op.i32And);
    code.const(PAYLOAD_REST).op(op.i32Sub).tee(payload).const(HEADER_BYTES).op(op.i32Add);
    this.#heap.call(code, ptr >= 0 ? "realloc" : "malloc");
    if (ptr >= 0) this.#staticMove(ptr, payload);
    trapIfNull(code);
    const block = assemblyScriptBlock(code);
    code
      .tee(block)
      .get(payload)
      .access(op.i32Store, HEADER_BYTES - 4);
    code.get(block).const(HEADER_BYTES).op(op.i32Add);
  }

  /** A payload in static data is not a block: it is copied into one. */
  #staticMove(ptr: number, payload: number): void {
    const code = this.#code;
    const block = assemblyScriptBlock(code);
    const old = code.local("old payload", I32);
    code.tee(block).op(op.i32Eqz).if();
    code.get(ptr).const(HEADER_BYTES).op(op.i32Sub);
    this.#heap.call(code, "malloc_usable_size");
    code.op(op.i32Eqz).if();
    code.get(payload).const(HEADER_BYTES).op(op.i32Add);
    this.#heap.call(code, "malloc");
    code.tee(block).if().get(block).const(HEADER_BYTES).op(op.i32Add).get(ptr);
    code.get(ptr).const(4).op(op.i32Sub).access(op.i32Load).const(~3).op(op.i32And).tee(old);
    code.get(payload).get(old).get(payload).op(op.i32LtU, op.select).memoryCopy();
    code.end().end().end().get(block);
  }
}
