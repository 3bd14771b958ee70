/** The allocators under test, each behind the same few names. */
import { existsSync, readFileSync } from "node:fs";
import { createAbi, createHeap, type Heap, type HeapOptions } from "#src/heap/index.js";
import { javascript } from "#src/heap/javascript.js";
import { createSharedHeap } from "#src/heap/shared.js";
import { fromRoot } from "./paths.ts";

export type Mode = "wasm" | "js";

/** C's functions over u32; WebAssembly hands addresses above 2 GiB to JavaScript as negatives. */
export interface HeapExports {
  malloc(size: number): number;
  free(block: number): unknown;
  realloc(block: number, size: number): number;
  calloc(count: number, size: number): number;
  memalign?(alignment: number, size: number): number;
}

export interface Instance {
  readonly memory: { readonly buffer: ArrayBufferLike };
  readonly exports: HeapExports;
  /** Called once the driver has what it needs for itself, before the first run. */
  ready?(): void;
}

export interface Allocator {
  readonly name: string;
  readonly modes: readonly Mode[];
  /** The only workloads it can take; all if absent. */
  readonly workloads?: readonly string[];
  /** Blocks may overlap, so what is read from them proves nothing. */
  readonly unchecked?: true;
  /** Workloads on which it is known to fail: reported, but no fault of the benchmark. */
  readonly knownFailures?: readonly string[];
  readonly available: boolean;
  instantiate(): Promise<Instance>;
}

const modules = new Map<string, WebAssembly.Module>();

/** One compilation per process: instances share the code that the warm-up has optimised. */
export function compiled(file: string): WebAssembly.Module {
  const known = modules.get(file);
  if (known) return known;
  const made = new WebAssembly.Module(readFileSync(fromRoot(file)));
  modules.set(file, made);
  return made;
}

interface RivalExports extends HeapExports {
  readonly memory: WebAssembly.Memory;
  _initialize?(): void;
  mark?(): void;
}

type Host = (memory: () => WebAssembly.Memory) => WebAssembly.Imports;

function rivalInstance(file: string, host: Host): Instance {
  const imports = host(() => exports.memory);
  const instance = new WebAssembly.Instance(compiled(file), imports);
  const exports = instance.exports as unknown as RivalExports;
  exports._initialize?.();
  const { memory, mark } = exports;
  return mark ? { memory, exports, ready: mark } : { memory, exports };
}

/** A module that owns its memory and exports it. */
function rival(name: string, file: string, host: Host = () => ({})): Allocator {
  return {
    name,
    modes: ["wasm", "js"],
    available: existsSync(fromRoot(file)),
    instantiate: async () => rivalInstance(file, host),
  };
}

/** What an allocator under test must not call. */
export function unexpected(name: string): () => never {
  return () => {
    throw new Error(`the allocator called ${name}`);
  };
}

/**
 * What mimalloc's build imports: an empty environment, a clock, and calls that its libc would use
 * to print or to give up.
 */
function mimallocHost(memory: () => WebAssembly.Memory): WebAssembly.Imports {
  const names = ["environ_get", "fd_close", "fd_fdstat_get", "fd_seek", "fd_write", "proc_exit"];
  const view = () => new DataView(memory().buffer);
  const host = {
    ...Object.fromEntries(names.map((name) => [name, unexpected(name)])),
    environ_sizes_get: (count: number, size: number) => {
      view().setUint32(count >>> 0, 0, true);
      view().setUint32(size >>> 0, 0, true);
      return 0;
    },
    clock_time_get: (_id: number, _precision: bigint, out: number) => {
      view().setBigUint64(out >>> 0, process.hrtime.bigint(), true);
      return 0;
    },
    sched_yield: () => 0,
  };
  return { wasi_snapshot_preview1: host };
}

type Errors = Pick<HeapOptions, "onError">;

/** C's functions of a heap of ours; its JavaScript build only makes sense from JavaScript. */
function terrane(name: string, modes: readonly Mode[], create: (on: Errors) => Heap): Allocator {
  return {
    name,
    modes,
    available: true,
    instantiate: async () => {
      const heap = create({ onError: unexpected("error") });
      return { memory: heap.memory ?? heap.source, exports: createAbi(heap) };
    },
  };
}

/** What most TypeScript authors call: every argument and pointer is checked. */
const terraneTyped: Allocator = {
  name: "terrane-typed",
  modes: ["js"],
  available: true,
  instantiate: async () => {
    const heap = createHeap();
    const exports = {
      malloc: (size: number) => heap.malloc(size),
      free: (block: number) => heap.free(block),
      realloc: (block: number, size: number) => heap.realloc(block, size),
      calloc: (count: number, size: number) => heap.calloc(count, size),
      memalign: (alignment: number, size: number) => heap.memalign(alignment, size),
    };
    return { memory: heap.source, exports };
  },
};

/** MemPool walks lists of blocks, so only a small live set gives it a chance. */
const thing: Allocator = {
  name: "thi.ng",
  modes: ["js"],
  workloads: ["lifo_fixed", "lifo_mixed", "stack_walk", "cfrac", "replace_1000"],
  available: existsSync(fromRoot("node_modules/@thi.ng/malloc")),
  instantiate: thingInstance,
};

async function thingInstance(): Promise<Instance> {
  const { MemPool } = await import("@thi.ng/malloc");
  const pool = new MemPool({ size: 16 << 20 });
  const exports = {
    malloc: (size: number) => pool.malloc(size),
    free: (block: number) => pool.free(block),
    realloc: (block: number, size: number) => pool.realloc(block, size),
    calloc: (count: number, size: number) => pool.calloc(count * size),
  };
  return { memory: { buffer: pool.buf }, exports };
}

export const allocators: readonly Allocator[] = [
  terrane("terrane", ["wasm", "js"], createHeap),
  terrane("terrane-shared", ["wasm", "js"], createSharedHeap),
  terrane("terrane-js", ["js"], (on) => createHeap({ ...on, backend: javascript })),
  terraneTyped,
  rival("dlmalloc", "bench/rivals/dlmalloc.wasm"),
  rival("tlsf", "bench/rivals/tlsf.wasm"),
  {
    ...rival("mimalloc", "bench/rivals/out/mimalloc.wasm", mimallocHost),
    // Freed huge blocks go back to a system that takes nothing back, until 4 GiB are used up.
    knownFailures: ["large"],
  },
  rival("mimalloc-tuned", "bench/rivals/out/mimalloc-tuned.wasm", mimallocHost),
  { ...rival("bump", "bench/rivals/bump.wasm"), unchecked: true },
  thing,
];

export function allocatorNamed(name: string): Allocator {
  const found = allocators.find((allocator) => allocator.name === name);
  if (!found) throw new Error(`unknown allocator: ${name}`);
  return found;
}
