/** The imports of a module that takes its malloc from a heap, with a memory of the right size. */

import { PAGE_BYTES as PAGE, PAGES_MOST } from "../common/constants.ts";
import { wrongKind } from "../common/errors.ts";
import { checkMembers, checkObject } from "../common/kinds.ts";
import type { AbiOptions } from "./calls/abi.ts";
import { createHeap } from "./create.ts";
import { createAbi } from "./create-abi.ts";
import type { Heap } from "./heap.ts";
import { checkHeap } from "./hooks.ts";
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
export function createImports(
  bytes: ArrayBuffer | ArrayBufferView,
  options: ImportsOptions = {},
): HeapImports {
  checkOptions(options);
  const { heap: given, imports: others = {}, errno, ...heapOptions } = options;
  const wanted = readImports(bytesOf(bytes));
  const memory = memoryOf(wanted);
  if (given) checkBehind(given, memory);
  const heap = given ?? heapBehind(memory, heapOptions);
  let table: unknown;
  const abi: object = createAbi(heap, { errno, table: () => table });
  const ours = { ...abi, [memory.name]: heap.memory };
  return {
    heap,
    imports: importsOf(wanted, ours, others),
    connect(instance) {
      checkMembers("instance", "a WebAssembly.Instance", instance, "exports");
      table = instance.exports[TABLE] ?? others.env?.[TABLE];
      return instance;
    },
  };
}

/** What createImports decides itself. */
const settled = ["memory", "offset", "initial"];

/** Those of a new heap are checked by createHeap. */
function checkOptions(options: ImportsOptions): void {
  checkObject("options", options);
  const { heap, imports = {}, errno: _, ...ofHeap } = options;
  checkObject("imports", imports);
  for (const [module, names] of Object.entries(imports)) {
    checkObject(`imports.${module}`, names);
  }
  if (heap !== undefined) checkHeap(heap);
  for (const [name, value] of Object.entries(ofHeap)) {
    if (value === undefined) continue;
    if (heap) throw new TypeError(`createImports: ${name} is for a new heap`);
    if (!settled.includes(name)) continue;
    throw new TypeError(
      `createImports: the module's import settles ${name}: leave it out, or give a heap that is ` +
        "there as { heap }",
    );
  }
}

/** The caller's imports, and of ours what the module wants and the caller has not. */
function importsOf(
  wanted: readonly ModuleImport[],
  ours: Record<string, unknown>,
  others: WebAssembly.Imports,
): WebAssembly.Imports {
  const imports: Record<string, WebAssembly.ModuleImports> = { ...others };
  for (const { module, name, kind } of wanted) {
    if (kind !== "function" && kind !== "memory") continue;
    const value = Object.hasOwn(ours, name) ? ours[name] : undefined;
    if ((typeof value === "function") !== (kind === "function") || value === undefined) continue;
    const known = Object.hasOwn(imports, module) ? imports[module] : {};
    imports[module] = { [name]: value as WebAssembly.ImportValue, ...known };
  }
  return imports;
}

function bytesOf(bytes: ArrayBuffer | ArrayBufferView): Uint8Array {
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
      "createImports: the module's memory is shared: give { heap: createSharedHeap({ memory, " +
        `offset: ${min * PAGE} }) } with createSharedHeap of "terrane/shared" and a shared ` +
        `memory of ${min} pages`,
    );
  }
  if (min >= (max ?? PAGES_MOST)) {
    throw new RangeError(
      `createImports: the module's memory has ${min * PAGE} bytes and may not grow, so there is ` +
        "no space for a heap: link it with " +
        (min < PAGES_MOST ? "a larger --max-memory" : "a smaller --initial-memory"),
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
