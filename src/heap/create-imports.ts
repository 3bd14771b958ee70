/** The imports of a module that takes its malloc from a heap, with a memory of the right size. */

import { wrongKind } from "../common/errors.ts";
import type { AbiOptions } from "./calls/abi.ts";
import { createHeap } from "./create.ts";
import { createAbi } from "./create-abi.ts";
import type { Heap } from "./heap.ts";
import { type ModuleImport, readImports } from "./module-imports.ts";
import type { HeapOptions } from "./options.ts";

/** Options of createImports. */
export interface ImportsOptions
  extends Omit<HeapOptions, "memory" | "offset" | "initial">,
    Pick<AbiOptions, "errno"> {
  /**
   * A heap that is there, in place of a new one. Its memory must be one that it was given, with the
   * module's stack and data before the heap.
   */
  heap?: Heap | undefined;
  /** What else the module imports; it goes before functions of the heap. Default: nothing. */
  imports?: WebAssembly.Imports | undefined;
}

/** What createImports returns. */
export interface HeapImports {
  /** The heap that the module allocates from. */
  readonly heap: Heap;
  /** For WebAssembly.instantiate. */
  readonly imports: WebAssembly.Imports;
  /**
   * Gives the heap the table of an instance, for calls that take a function, such as
   * mi_register_output. Returns the instance.
   */
  connect(instance: WebAssembly.Instance): WebAssembly.Instance;
}

const PAGE = 65536;
const TABLE = "__indirect_function_table";

/**
 * A heap for a wasm module that imports C's malloc and its memory, and the imports with both. The
 * memory is of the size that the module declares, and the heap begins behind that, so that no stack
 * and no data of the module lie where the heap's are. docs/guide/wasm-authors.md has recipes for
 * C, C++, Rust and Zig.
 *
 * @param bytes The .wasm file: a compiled module does not show the size of its memory.
 * @throws TypeError for what is not a module, and for one that does not import its memory.
 * RangeError when its memory has no space for a heap, or the heap in the options lies over what the
 * module has.
 * @example
 * import { createImports } from "terrane";
 * const bytes = await (await fetch("program.wasm")).arrayBuffer();
 * const { heap, imports } = createImports(bytes);
 * const { instance } = await WebAssembly.instantiate(bytes, imports);
 */
export function createImports(bytes: BufferSource, options: ImportsOptions = {}): HeapImports {
  const { heap: given, imports: others = {}, errno, ...heapOptions } = options;
  if (given && Object.keys(heapOptions).length > 0) {
    throw new TypeError(`createImports: ${Object.keys(heapOptions)[0]} is for a new heap`);
  }
  const wanted = readImports(bytesOf(bytes));
  const memory = memoryOf(wanted);
  if (given) checkBehind(given, memory);
  const heap = given ?? heapBehind(memory, heapOptions);
  let table: unknown;
  const abi = createAbi(heap, { errno, table: () => table });
  const all = { ...(abi as object), [memory.name]: heap.memory };
  const imports: Record<string, WebAssembly.ModuleImports> = { ...others };
  for (const { module, name, kind } of wanted) {
    const value = (all as Record<string, WebAssembly.ImportValue>)[name];
    const ours = kind === "function" ? typeof value === "function" : kind === "memory";
    if (!ours || value === undefined || others[module]?.[name] !== undefined) continue;
    imports[module] = { ...imports[module], [name]: value };
  }
  return {
    heap,
    imports,
    connect(instance) {
      table = instance.exports[TABLE] ?? others.env?.[TABLE];
      return instance;
    },
  };
}

function bytesOf(bytes: BufferSource): Uint8Array {
  if (ArrayBuffer.isView(bytes)) {
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  if (bytes instanceof ArrayBuffer) return new Uint8Array(bytes);
  if ((bytes as unknown) instanceof WebAssembly.Module) {
    throw new TypeError(
      "createImports needs the bytes of the module: a compiled one does not show the size of its " +
        "memory",
    );
  }
  throw wrongKind("bytes", "an ArrayBuffer or a view of one", bytes);
}

type MemoryImport = ModuleImport & { limits: NonNullable<ModuleImport["limits"]> };

function memoryOf(wanted: readonly ModuleImport[]): MemoryImport {
  const memory = wanted.find(({ kind }) => kind === "memory") as MemoryImport | undefined;
  if (!memory) {
    throw new TypeError(
      "createImports: the module has a memory of its own: link it with --import-memory, so that " +
        "it and the heap have the same one",
    );
  }
  if (memory.limits.is64) {
    throw new RangeError(
      "createImports: the module's memory has 64-bit addresses: compile it for wasm32",
    );
  }
  return memory;
}

function heapBehind({ limits }: MemoryImport, options: HeapOptions): Heap {
  const { min, max, shared } = limits;
  if (shared) {
    throw new TypeError(
      "createImports: the module's memory is shared: give { heap: createSharedHeap({ memory }) } " +
        `with createSharedHeap of "terrane/shared" and a shared memory of ${min} pages`,
    );
  }
  if (max !== undefined && max <= min) {
    throw new RangeError(
      `createImports: the module's memory has ${min * PAGE} bytes and may not grow, so there is ` +
        "no space for a heap: link it with a larger --max-memory",
    );
  }
  const memory = new WebAssembly.Memory({
    initial: min,
    ...(max !== undefined && { maximum: max }),
  });
  const limit = max === undefined ? {} : { maximum: max * PAGE };
  return createHeap({ ...limit, ...options, memory });
}

/** The module's stack and data lie in the memory that it declares, from its begin on. */
function checkBehind(heap: Heap, { limits }: MemoryImport): void {
  const { start } = heap.source;
  const end = limits.min * PAGE;
  if (!heap.memory) {
    throw new TypeError("createImports: the heap must be over a WebAssembly.Memory");
  }
  if (start >= end) return;
  throw new RangeError(
    `createImports: the module has its stack and data in the first ${end} bytes of its memory, ` +
      `and the heap begins at ${start}, among them: leave the heap out, and createImports makes ` +
      `one behind them, or give createHeap { offset: ${end} }`,
  );
}
