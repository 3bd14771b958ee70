/** Replaces the allocator of a finished module by our heap, merged into it or imported. */

import { PAGE_BYTES, PAGES_MOST } from "../../common/constants.ts";
import { type OptionCheck, optionsCheck } from "../../common/option-table.ts";
import { findAllocator, type Which } from "../allocators/finder.ts";
import { ModuleEditor } from "../module/editor.ts";
import type { Limits, Module } from "../module/module.ts";
import type { OffsetMap } from "../module/offsets.ts";
import { op } from "../module/opcodes.ts";
import { readModule } from "../module/reader.ts";
import {
  collectorOf,
  type DecideOptions,
  type Decision,
  decideAllocator,
  decideChecks,
} from "./decide.ts";
import { importInto } from "./import.ts";
import { mergeInto } from "./merge.ts";
import { memoryCheck, type Plan, type Planned, planMake } from "./plan.ts";
import { replacedTry } from "./simulate.ts";

/** A new module is tried if its memory can grow by so many pages, which the tests need. */
const TRIAL_PAGES = 128;

/** Whether the heap is merged into the module, or imported by it. */
export type OverrideForm = "merge" | "import";

/** Options of `override`. */
export interface OverrideOptions extends DecideOptions {
  /**
   * `merge` copies the heap into the module, which then needs no import. `import` makes the module
   * import the heap's functions and memory, so that several modules and threads can share one heap.
   * Default: merge.
   */
  readonly form?: OverrideForm | undefined;
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
  /** Why the allocator could be replaced. */
  readonly because: string;
  /** Whether blocks have the headers that the program's own allocator gives them. */
  readonly headers: boolean;
  /** How many functions of the new module were run in a scratch instance, and behaved. */
  readonly tried: number;
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
 * @throws RangeError if no allocator is proven, or a part of it stays in use, so that replacing it
 *   would break the program; if the memory may not grow; and for values of options that are out of
 *   range.
 * @throws TypeError if `maxMemory` is not a number.
 * @example
 * const { bytes, report } = override(new Uint8Array(readFileSync("program.wasm")));
 * console.log(report.bytesBefore, report.bytesAfter);
 */
export function override(bytes: Uint8Array, options: OverrideOptions = {}): Overridden {
  const module = readModule(bytes);
  const { form = "merge", functions, maxMemory } = overrideCheck(options);
  memoryCheck(module, form);
  const { sbrk, ...roles } = functions ?? {};
  const decision = decisionMake(module, { ...options, functions: roles });
  const plan = planMake(module, {
    ...{ form, found: decision.functions, kept: decision.kept, header: decision.header },
    ...{ sbrk: firstOf(sbrk), programBreak: decision.proof?.programBreak, maxMemory },
  });
  const editor = new ModuleEditor(module);
  const begin = form === "merge" ? mergeInto(editor, mergeOf(plan)) : -1;
  if (form === "import") importInto(editor, plan);
  else if (plan.limits.max !== module.memories[0]?.limits.max) editor.setMemory(plan.limits);
  deadDrop(editor, plan);
  const { bytes: changed, offsets } = editor.write();
  const tried = form === "merge" ? newTry(changed, begin, plan, decision) : 0;
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
      because: decision.because,
      headers: plan.header !== undefined,
      tried,
      notes: plan.notes,
    },
  };
}

function firstOf(which: Which | readonly Which[] | undefined): Which | undefined {
  return [which ?? []].flat()[0];
}

function mergeOf(plan: Plan): Plan {
  return { ...plan, functions: plan.functions.filter((each) => each.fate === "replaced") };
}

/** @throws RangeError if the allocator cannot be replaced; says why, and what can be done. */
function decisionMake(module: Module, options: DecideOptions): Decision {
  const collector = collectorOf(module);
  if (collector !== undefined) {
    throw new RangeError(
      `its allocator is ${collector}'s garbage collector, which owns all of the memory: it ` +
        "cannot be replaced",
    );
  }
  const decision = decideAllocator(module, options);
  const { verdict, because } = decision;
  if (verdict === "replace") return decision;
  const imported = findAllocator(module).filter((each) => each.source === "import");
  if (imported.length > 0 && decision.functions.length === 0) {
    const names = imported.map((each) => each.name).join(", ");
    throw new RangeError(
      `it imports its allocator (${names}): pass createAbi(heap) as imports instead`,
    );
  }
  if (verdict === "watch") {
    throw new RangeError(
      `its allocator cannot be replaced safely: ${because}; check and run watch it as it is`,
    );
  }
  if (verdict === "none") throw new RangeError(`it has no allocator to replace: ${because}`);
  throw new RangeError(`its allocator is not proven: ${because}`);
}

/**
 * Runs the functions of the new module before anybody else does.
 *
 * @returns how many were run; 0 if the memory has no space for a trial.
 * @throws RangeError if one does not behave.
 */
function newTry(bytes: Uint8Array, begin: number, plan: Plan, { proof }: Decision): number {
  const { min, max } = plan.limits;
  if (!proof || (max !== undefined && max - min < TRIAL_PAGES)) return 0;
  const isUnused = ({ fate }: Planned) => fate === "unused";
  const unused = new Set(plan.functions.filter(isUnused).map((each) => each.index));
  const late = plan.sbrk !== undefined;
  const failure = replacedTry({ bytes, begin, late, unused }, proof);
  if (failure === undefined) return proof.functions.length - unused.size;
  throw new RangeError(`its allocator cannot be replaced safely: in a trial ${failure}`);
}

/** What is wrong with a value of `form`. */
function formError(form: unknown): Error | undefined {
  if (form === "merge" || form === "import") return undefined;
  return new RangeError(`form must be "merge" or "import", not ${JSON.stringify(form)}`);
}

function maxMemoryError(bytes: unknown): Error | undefined {
  if (typeof bytes !== "number") return new TypeError("maxMemory must be a number of bytes");
  if (bytes >= PAGE_BYTES && bytes <= PAGES_MOST * PAGE_BYTES) return undefined;
  return new RangeError(`maxMemory must be from 65536 to 4294967296, not ${bytes}`);
}

const overrideChecks: readonly OptionCheck[] = [
  ...decideChecks,
  { name: "form", refuse: formError },
  { name: "maxMemory", refuse: maxMemoryError },
];

function overrideCheck(options: OverrideOptions): OverrideOptions {
  optionsCheck(overrideChecks, options);
  if (options.maxMemory !== undefined && options.form === "import") {
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
