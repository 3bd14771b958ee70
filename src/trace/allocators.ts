/** The allocators that a trace can be replayed on, by name. */
import { createAbi } from "../heap/create-abi.ts";
import type { Heap } from "../heap/heap.ts";
import type { SharedHeap } from "../heap/shared-heap.ts";
import { rivals } from "./rivals.js";
import type { CFunctions, Subject } from "./subject.ts";
import { linearSubject } from "./subject.ts";
import { typedArraySubject } from "./typed-arrays.ts";

/** An allocator that traces can be replayed on. */
export interface Allocator {
  /** Its name on the command line. */
  readonly name: string;
  /** One line for `--list`. */
  readonly describe: string;
  /** Runs only if it is named: it is too slow for many live blocks, or of use to few. */
  readonly onRequest?: true;
  /**
   * Creates a new one.
   * @param aligned whether the trace has memalign.
   * @throws AllocatorError if a package that it needs is not installed.
   */
  create(aligned: boolean): Promise<Subject>;
  /** Creates a heap for the Workers of --threads, if threads can share it. */
  share?(): Promise<SharedHeap>;
}

/** An allocator that cannot be used, since a package is missing. */
export class AllocatorError extends Error {
  override readonly name = "AllocatorError";
}

export function heapSubject(heap: Heap, aligned: boolean): Subject {
  return linearSubject(
    createAbi(heap),
    () => heap.u8,
    () => heap.stats().stateBytes,
    aligned,
  );
}

async function terraneSubject(backend: "wasm" | "js", aligned: boolean): Promise<Subject> {
  // Loaded when it is used: `terrane --help` needs no heap.
  const { createHeap } = await import("../heap/index.ts");
  if (backend === "wasm") return heapSubject(createHeap(), aligned);
  const { javascript } = await import("../heap/javascript.ts");
  return heapSubject(createHeap({ backend: javascript }), aligned);
}

/** A shared heap; its memory can grow in either back end. */
async function sharedHeap(backend: "wasm" | "js"): Promise<SharedHeap> {
  const { createSharedHeap } = await import("../heap/shared.ts");
  const { wasmMemory } = await import("../memory/index.ts");
  const memory = wasmMemory({ shared: true });
  if (backend === "wasm") return createSharedHeap({ memory });
  const { sharedJavascript } = await import("../heap/javascript.ts");
  return createSharedHeap({ memory, backend: sharedJavascript });
}

/*
 * ---- rivals as WebAssembly ----------------------------------------------------------------------
 */

interface RivalExports extends CFunctions {
  readonly memory: WebAssembly.Memory;
}

/**
 * The state of dlmalloc and TLSF: static variables are in the granule of the first blocks; the
 * header at the end of the memory needs a granule of its own.
 */
const RIVAL_STATE = 4096;

const modules = new Map<string, WebAssembly.Module>();

/** Compiled once in a process, so that later rounds run optimised code. */
function rivalModule(name: keyof typeof rivals): WebAssembly.Module {
  let module = modules.get(name);
  if (module === undefined) {
    module = new WebAssembly.Module(Uint8Array.from(atob(rivals[name]), (c) => c.charCodeAt(0)));
    modules.set(name, module);
  }
  return module;
}

function rivalSubject(name: keyof typeof rivals, aligned: boolean): Subject {
  const { exports } = new WebAssembly.Instance(rivalModule(name), {});
  const functions = exports as unknown as RivalExports;
  const { memory } = functions;
  return linearSubject(
    functions,
    () => new Uint8Array(memory.buffer),
    () => RIVAL_STATE,
    aligned,
  );
}

/*
 * ---- @thi.ng/malloc -----------------------------------------------------------------------------
 */

/** The pool cannot grow. Pages that are not used cost nothing. */
const POOL_SIZE = 1 << 30;
const POOL_PACKAGE = "@thi.ng/malloc";

interface Pool {
  readonly buf: ArrayBufferLike;
  malloc(size: number): number;
  calloc(size: number): number;
  realloc(p: number, size: number): number;
  free(p: number): boolean;
}

interface PoolModule {
  readonly MemPool: new (options: { size: number; align: number }) => Pool;
}

async function poolModule(): Promise<PoolModule> {
  try {
    return (await import(POOL_PACKAGE)) as PoolModule;
  } catch {
    throw new AllocatorError(`thi.ng: ${POOL_PACKAGE} is not installed (npm i ${POOL_PACKAGE})`);
  }
}

async function poolSubject(aligned: boolean): Promise<Subject> {
  const { MemPool } = await poolModule();
  const pool = new MemPool({ size: POOL_SIZE, align: 8 });
  const u8 = new Uint8Array(pool.buf);
  // The pool refuses size 0 and, in realloc, the null pointer. Programs in C use both.
  const functions: CFunctions = {
    malloc: (size) => pool.malloc(size || 1),
    calloc: (count, size) => pool.calloc(count * size || 1),
    realloc: (p, size) => (p === 0 ? pool.malloc(size || 1) : pool.realloc(p, size || 1)),
    free: (p) => pool.free(p),
  };
  // Its state is in the granule of the first block.
  return linearSubject(
    functions,
    () => u8,
    () => 0,
    aligned,
  );
}

/*
 * ---- the table ----------------------------------------------------------------------------------
 */

export const allocators: readonly Allocator[] = [
  {
    name: "terrane",
    describe: "this package's heap, as WebAssembly",
    create: (aligned) => terraneSubject("wasm", aligned),
  },
  {
    name: "terrane-js",
    describe: "this package's heap, as JavaScript",
    create: (aligned) => terraneSubject("js", aligned),
  },
  {
    name: "terrane-shared",
    describe: "this package's heap for threads, as WebAssembly",
    create: async (aligned) => heapSubject(await sharedHeap("wasm"), aligned),
    share: () => sharedHeap("wasm"),
  },
  {
    name: "terrane-shared-js",
    describe: "this package's heap for threads, as JavaScript",
    onRequest: true,
    create: async (aligned) => heapSubject(await sharedHeap("js"), aligned),
    share: () => sharedHeap("js"),
  },
  {
    name: "dlmalloc",
    describe: "Doug Lea's malloc of wasi-libc, what C and Rust programs get today",
    create: async (aligned) => rivalSubject("dlmalloc", aligned),
  },
  {
    name: "tlsf",
    describe: "AssemblyScript's allocator",
    create: async (aligned) => rivalSubject("tlsf", aligned),
  },
  {
    name: "uint8array",
    describe: "a new Uint8Array for each block; memory: live objects and buffers at the peak",
    create: async () => typedArraySubject(),
  },
  {
    name: "thi.ng",
    describe: "MemPool of @thi.ng/malloc, if installed; its free searches all live blocks",
    onRequest: true,
    create: poolSubject,
  },
];

/** @throws RangeError if no allocator has this name. */
export function findTraceAllocator(name: string): Allocator {
  const found = allocators.find((allocator) => allocator.name === name);
  if (found !== undefined) return found;
  const known = allocators.map((allocator) => allocator.name).join(", ");
  throw new RangeError(`unknown allocator "${name}" (known: ${known})`);
}

/** @throws RangeError if no allocator has this name, or threads cannot share it. */
export function findSharedAllocator(name: string): Allocator {
  const found = findTraceAllocator(name);
  if (found.share !== undefined) return found;
  const shareable = allocators.filter(({ share }) => share).map((allocator) => allocator.name);
  throw new RangeError(`threads cannot share "${name}" (choose one of: ${shareable.join(", ")})`);
}
