/** The allocators that several Workers can use at once over one memory. */
import { existsSync } from "node:fs";
import { createAbi } from "#src/heap/index.js";
import { attachHeap, createSharedHeap, type HeapHandle } from "#src/heap/shared.js";
import { compiled, type HeapExports, type Instance, unexpected } from "./allocators.ts";
import { fromRoot } from "./paths.ts";

/** One thread's part in an allocator. */
export interface Member extends Instance {
  readonly memory: WebAssembly.Memory;
  /** Ends it; throws if anything stays allocated that should not. */
  leave(): void;
}

/** The main thread's part; `seat` is what Workers need to join: it can be sent to them. */
export interface Owner extends Member {
  readonly seat: unknown;
}

export interface SharedAllocator {
  readonly name: string;
  /** The only workloads it can take; all but the machine's own if absent. */
  readonly workloads?: readonly string[];
  readonly available: boolean;
  open(): Owner;
  join(seat: unknown): Member;
}

const onError = unexpected("error");

/** What no workload of threads calls. */
const unused = {
  realloc: unexpected("realloc"),
  calloc: unexpected("calloc"),
  memalign: unexpected("memalign"),
};

/** All blocks are freed by then, so no page may be left, no matter which thread freed them. */
function booksCheck({ pageBytes, blocks, threads }: ReturnType<typeof statsOf>): void {
  if (pageBytes === 0 && blocks === 0 && threads === 1) return;
  throw new Error(`left: ${pageBytes} bytes of pages, ${blocks} blocks, ${threads} threads`);
}

function statsOf(heap: ReturnType<typeof attachHeap>) {
  heap.collect(true);
  return heap.stats();
}

const terrane: SharedAllocator = {
  name: "terrane",
  available: true,
  open() {
    const heap = createSharedHeap({ onError });
    const leave = () => {
      booksCheck(statsOf(heap));
      heap.detach();
    };
    const memory = heap.memory as WebAssembly.Memory;
    return { memory, exports: createAbi(heap), seat: heap.handle(), leave };
  },
  join(seat) {
    const heap = attachHeap(seat as HeapHandle, { onError });
    const leave = () => {
      heap.collect(true);
      heap.detach();
    };
    return { memory: heap.memory as WebAssembly.Memory, exports: createAbi(heap), leave };
  },
};

interface RivalSeat {
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
}

/** A module that imports its memory, with an instance in each thread; it keeps no counters. */
function rival(name: string, workloads?: readonly string[]): SharedAllocator {
  const file = `bench/rivals/${name}.wasm`;
  const join = ({ memory, module }: RivalSeat) => {
    const { exports } = new WebAssembly.Instance(module, { env: { memory } });
    return { memory, exports: { ...unused, ...exports } as unknown as HeapExports, leave() {} };
  };
  const open = () => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
    const seat = { memory, module: compiled(file) };
    return { ...join(seat), seat };
  };
  return {
    name,
    ...(workloads && { workloads }),
    available: existsSync(fromRoot(file)),
    open,
    join: (seat) => join(seat as RivalSeat),
  };
}

export const sharedAllocators: readonly SharedAllocator[] = [
  terrane,
  rival("dlmalloc-lock"),
  rival("dlmalloc-spin"),
  rival("cycle", ["fifo", "produce_consume"]),
];

export function sharedAllocatorNamed(name: string): SharedAllocator {
  const found = sharedAllocators.find((allocator) => allocator.name === name);
  if (!found) throw new Error(`unknown allocator: ${name}`);
  return found;
}
