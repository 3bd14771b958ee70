/** Gives a finished module another allocator: ours, merged into it or imported. */

import type { FindOptions } from "../allocators/finder.ts";
import { ModuleEditor } from "../module/editor.ts";
import type { Limits } from "../module/module.ts";
import type { OffsetMap } from "../module/offsets.ts";
import { op } from "../module/opcodes.ts";
import { readModule } from "../module/reader.ts";
import { importInto } from "./import.ts";
import { mergeInto } from "./merge.ts";
import { type Plan, type Planned, planMake } from "./plan.ts";

export type OverrideForm = "merge" | "import";

export interface OverrideOptions extends FindOptions {
  /**
   * `merge` puts the heap into the module, which then stands alone. `import` lets it import the
   * heap's functions and memory, so that several modules and threads share one. Default: merge.
   */
  readonly form?: OverrideForm | undefined;
  /**
   * Takes functions for the allocator because they look like one, and accepts what stays of it.
   * Default: false.
   */
  readonly guess?: boolean | undefined;
  /** The most bytes that the memory may have. Default: what the module says. */
  readonly maxMemory?: number | undefined;
}

export interface OverrideReport {
  readonly form: OverrideForm;
  /** The allocator's functions and what has become of them. */
  readonly functions: readonly Planned[];
  /** Where pages come from: the instruction, or the program's own function. */
  readonly pages: string;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** Limits of the memory in pages of 64 KiB, as they are now. */
  readonly memory: Limits;
  /** What could not be proved. */
  readonly notes: readonly string[];
}

export interface Overridden {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly report: OverrideReport;
  /** From offsets in the new module to offsets in the original: debug information stays there. */
  readonly offsets: OffsetMap;
}

/**
 * Replaces the bodies of a module's allocator functions by our heap's.
 *
 * The program's memory below its initial size stays its own; the heap takes only pages that its own
 * growth has given. In the merged form it begins when the module is instantiated. Debug information
 * is left out, since code has moved.
 *
 * @throws ModuleError when the bytes are damaged, or the memory is none, more than one, of 64 bits,
 * or shared and to be merged.
 * @throws RangeError when there is no allocator to replace, it is only guessed, or the memory may
 * not grow.
 * @example
 * const { bytes, report } = override(new Uint8Array(readFileSync("program.wasm")));
 * console.log(report.bytesBefore, report.bytesAfter);
 */
export function override(bytes: Uint8Array, options: OverrideOptions = {}): Overridden {
  const module = readModule(bytes);
  const { form = "merge", guess = false, functions, maxMemory } = optionsCheck(options);
  const plan = planMake(module, { form, guess, functions, maxMemory });
  const editor = new ModuleEditor(module);
  if (form === "merge") mergeInto(editor, plan);
  else importInto(editor, plan);
  if (form === "merge" && plan.limits.max !== module.memories[0]?.limits.max) {
    editor.setMemory(plan.limits);
  }
  deadDrop(editor, plan);
  const { bytes: changed, offsets } = editor.write();
  return {
    bytes: changed,
    offsets,
    report: {
      form,
      functions: plan.functions,
      pages: form === "import" ? "the imported heap" : (plan.sbrk?.name ?? "memory.grow"),
      bytesBefore: bytes.length,
      bytesAfter: changed.length,
      memory: plan.limits,
      notes: plan.notes,
    },
  };
}

function optionsCheck(options: OverrideOptions): OverrideOptions {
  const { form, maxMemory } = options;
  if (form !== undefined && form !== "merge" && form !== "import") {
    throw new RangeError(`form must be "merge" or "import", not ${JSON.stringify(form)}`);
  }
  if (maxMemory !== undefined && typeof maxMemory !== "number") {
    throw new TypeError("maxMemory must be a number of bytes");
  }
  if (maxMemory !== undefined && !(maxMemory >= 65536 && maxMemory <= 2 ** 32)) {
    throw new RangeError(`maxMemory must be from 65536 to 4294967296, not ${maxMemory}`);
  }
  if (maxMemory !== undefined && form === "import") {
    throw new RangeError("maxMemory is for the merged form; an imported heap has its own maximum");
  }
  return options;
}

/** What cannot run any more has no code: its index stays, so that no other moves. */
function deadDrop(editor: ModuleEditor, { live, functions }: Plan): void {
  const { importedFunctions, bodies } = editor.module;
  const replaced = new Set(functions.filter((e) => e.fate === "replaced").map((e) => e.index));
  bodies.forEach((_, i) => {
    const index = importedFunctions + i;
    if (live[index] === 1 || replaced.has(index)) return;
    editor.replaceFunction(index, (code) => code.op(op.unreachable));
  });
}
