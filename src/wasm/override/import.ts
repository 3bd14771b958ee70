/** The imported form: the module takes its allocator and its memory from a heap. */
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
import type { Plan } from "./plan.ts";

/** The most pages that a memory can have. */
const PAGES_MOST = 65536;

export function importInto(editor: ModuleEditor, plan: Plan): void {
  const replaced = plan.functions.filter((each) => each.fate === "replaced");
  const names = replaced.flatMap(({ role }) => {
    const { called, ended } = bodyEnding(role);
    return [...called, ...ended];
  });
  const target = heapImport(editor, names);
  for (const { index, role } of replaced) {
    editor.replaceFunction(index, (code) => bodyWrite(code, role, target));
  }
  if (editor.module.memories[0]?.imported) return;
  // The heap's memory has a maximum of its own, or none.
  const { min, shared } = plan.limits;
  const max = shared ? PAGES_MOST : undefined;
  editor.setMemory({ min, max, shared, is64: false }, { module: HOST_MODULE, name: "memory" });
}

/** Imports these functions of a heap; bodies call them. */
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

/** A heap as overridden modules import it: any thread's, over any memory that WebAssembly has. */
export interface ImportedHeap {
  readonly memory: WebAssembly.Memory | undefined;
  readonly abi: HeapAbi;
}

/**
 * The imports of modules whose allocator has been overridden with `form: "import"`: the heap's
 * functions and its memory. Give all modules that share a memory the same heap, and each thread the
 * heap that it has attached.
 *
 * The heap must begin behind what the modules have at their start: `offset` of createHeap. The
 * modules themselves must have been linked for places of their own in that memory.
 *
 * @throws TypeError for a heap whose memory is no WebAssembly.Memory.
 * @example
 * const { bytes, report } = override(program, { form: "import" });
 * const heap = createHeap({ offset: report.memory.min * 65536 });
 * const module = await WebAssembly.compile(bytes);
 * await WebAssembly.instantiate(module, { env, ...overrideImports(heap) });
 */
export function overrideImports(heap: ImportedHeap): WebAssembly.Imports {
  if (!(heap?.memory instanceof WebAssembly.Memory)) {
    throw new TypeError("overrideImports needs a heap over a WebAssembly.Memory");
  }
  const functions = Object.keys(heapFunctions).map((name) => [name, heap.abi[name]]);
  return { [HOST_MODULE]: { memory: heap.memory, ...Object.fromEntries(functions) } };
}
