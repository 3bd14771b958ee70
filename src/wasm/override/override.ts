/** Replaces the allocator of a finished module by our heap, merged into it or imported. */

import { PAGE_BYTES, PAGES_MOST } from "../../common/constants.ts";
import type { FindOptions } from "../allocators/finder.ts";
import { ModuleEditor } from "../module/editor.ts";
import type { Limits } from "../module/module.ts";
import type { OffsetMap } from "../module/offsets.ts";
import { op } from "../module/opcodes.ts";
import { readModule } from "../module/reader.ts";
import { importInto } from "./import.ts";
import { mergeInto } from "./merge.ts";
import { type Plan, type Planned, planMake } from "./plan.ts";

/** Whether the heap is merged into the module, or imported by it. */
export type OverrideForm = "merge" | "import";

/** Options of `override`. */
export interface OverrideOptions extends FindOptions {
  /**
   * `merge` copies the heap into the module, which then needs no import. `import` makes the module
   * import the heap's functions and memory, so that several modules and threads can share one heap.
   * Default: merge.
   */
  readonly form?: OverrideForm | undefined;
  /**
   * Accepts functions as the allocator that only look like one, and parts of it that stay in use.
   * Default: false.
   */
  readonly guess?: boolean | undefined;
  /**
   * The most bytes that the memory may have, from 65536 to 2^32. For the merged form. Default: what
   * the module says.
   */
  readonly maxMemory?: number | undefined;
}

/** What `override` has done. */
export interface OverrideReport {
  /** Whether the heap was merged or is imported. */
  readonly form: OverrideForm;
  /** The allocator's functions, and what was done with each. */
  readonly functions: readonly Planned[];
  /** Where the heap's pages come from: `memory.grow`, or a function of the program. */
  readonly pages: string;
  /** Bytes of the original. */
  readonly bytesBefore: number;
  /** Bytes of the new module. */
  readonly bytesAfter: number;
  /** Limits of the memory of the new module, in pages of 64 KiB. */
  readonly memory: Limits;
  /** What you should know, in sentences: assumptions that could not be proved. */
  readonly notes: readonly string[];
}

/** A module whose allocator was replaced. */
export interface Overridden {
  /** The new file. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What was done. */
  readonly report: OverrideReport;
  /** Leads from offsets in the new file to the original, which has the debug information. */
  readonly offsets: OffsetMap;
}

/**
 * Replaces the bodies of a module's allocator functions by those of our heap.
 *
 * The program keeps its memory up to its initial size; the heap uses only pages that its own growth
 * has added. In the merged form, the heap begins when the module is instantiated. Debug information
 * is left out, since code moves.
 *
 * @param bytes the file; it does not change.
 * @throws ModuleError if the file is damaged, or the module has no memory, more than one, one with
 *   64-bit addresses, or a shared one that is to be merged.
 * @throws RangeError if no allocator was found, it is only guessed, a part of it stays in use, or
 *   the memory may not grow; and for values of options that are out of range.
 * @throws TypeError if `maxMemory` is not a number.
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
  if (
    maxMemory !== undefined &&
    !(maxMemory >= PAGE_BYTES && maxMemory <= PAGES_MOST * PAGE_BYTES)
  ) {
    throw new RangeError(`maxMemory must be from 65536 to 4294967296, not ${maxMemory}`);
  }
  if (maxMemory !== undefined && form === "import") {
    throw new RangeError("maxMemory is for the merged form; an imported heap has its own maximum");
  }
  return options;
}

/** Removes the code of functions that cannot run any more; their indices stay. */
function deadDrop(editor: ModuleEditor, { live, functions }: Plan): void {
  const { importedFunctions, bodies } = editor.module;
  const replaced = new Set(functions.filter((e) => e.fate === "replaced").map((e) => e.index));
  bodies.forEach((_, i) => {
    const index = importedFunctions + i;
    if (live[index] === 1 || replaced.has(index)) return;
    editor.replaceFunction(index, (code) => code.op(op.unreachable));
  });
}
