/** The imported form: the module imports its allocator and its memory from a heap. */
import { PAGES_MOST } from "../../common/constants.ts";
import type { HeapAbi } from "../../heap/calls/abi.ts";
import type { ModuleEditor } from "../module/editor.ts";
import { type CodeWriter, i32s } from "../module/writer.ts";
import { HOST_MODULE } from "../shadow/allocator-hooks.ts";
import {
  bodyEnding,
  bodyWrite,
  type HeapFunction,
  type HeapTarget,
  heapFunctions,
} from "./bodies.ts";
import { HeaderHeap, headerCallees } from "./headers.ts";
import type { Plan } from "./plan.ts";

export function importInto(editor: ModuleEditor, plan: Plan): void {
  const replaced = plan.functions.filter((each) => each.fate === "replaced");
  const names = replaced.flatMap(({ role }) => {
    const { called, ended } = bodyEnding(role);
    return [...called, ...ended];
  });
  const heap = heapImport(editor, plan.header ? headerCallees : names);
  const target = plan.header ? new HeaderHeap(editor, heap, plan.header) : heap;
  for (const { index, role } of replaced) {
    editor.replaceFunction(index, (code) => bodyWrite(code, role, target));
  }
  if (editor.module.memories[0]?.imported) return;
  // The heap's memory may have another maximum, or none; a shared memory must have one.
  const { min, shared } = plan.limits;
  const max = shared ? PAGES_MOST : undefined;
  editor.setMemory({ min, max, shared, is64: false }, { module: HOST_MODULE, name: "memory" });
}

/** Imports these functions of a heap, for bodies that call them. */
export function heapImport(editor: ModuleEditor, names: Iterable<HeapFunction>): HeapTarget {
  const indices = new Map<HeapFunction, number>();
  for (const name of new Set(names)) {
    const results = i32s(name === "free" ? 0 : 1);
    const params = i32s(heapFunctions[name]);
    indices.set(name, editor.importFunction(HOST_MODULE, name, params, results));
  }
  const call = (code: CodeWriter, name: HeapFunction) => {
    code.call(indices.get(name) as number);
  };
  return {
    call,
    end: (code, name, locals) => {
      for (const local of locals) code.get(local);
      call(code, name);
    },
  };
}

/** What an overridden module needs of a heap: a `Heap` or a `SharedHeap` has it. */
export interface ImportedHeap {
  /** The heap's memory; undefined if it is not a WebAssembly.Memory, which is refused. */
  readonly memory: WebAssembly.Memory | undefined;
  /** The functions under their C names: createAbi(heap), or the `abi` of a debug allocator. */
  readonly abi: HeapAbi;
}

/**
 * The imports of modules that were overridden with `form: "import"`: the heap's functions and its
 * memory. Give all modules that share a memory the same heap, and each thread the heap that it has
 * attached.
 *
 * The heap must begin behind the initial memory of the modules: see the option `offset` of
 * `createHeap`. Modules that share a memory must have been linked for different addresses.
 *
 * @throws TypeError if the heap's memory is not a WebAssembly.Memory.
 * @example
 * const { bytes, report } = override(program, { form: "import" });
 * const heap = createHeap({ offset: report.memory.min * 65536 });
 * const module = await WebAssembly.compile(bytes);
 * const imports = overrideImports({ memory: heap.memory, abi: createAbi(heap) });
 * await WebAssembly.instantiate(module, { env, ...imports });
 */
export function overrideImports(heap: ImportedHeap): WebAssembly.Imports {
  if (!(heap?.memory instanceof WebAssembly.Memory)) {
    throw new TypeError("overrideImports needs a heap over a WebAssembly.Memory");
  }
  const functions = Object.keys(heapFunctions).map((name) => [name, heap.abi[name]]);
  return { [HOST_MODULE]: { memory: heap.memory, ...Object.fromEntries(functions) } };
}
