/**
 * Rust's allocator in a module of wasm-bindgen without names: its exports pass their parameters on
 * to the allocator's functions, and the order of the parameters tells the function's role.
 */

import { functionType, KIND, type Module } from "../module/module.ts";
import { op } from "../module/opcodes.ts";
import { bodyReader } from "../module/reader.ts";
import { type AllocatorFunction, type Role, role, type Sureness } from "./roles.ts";

/** A call that passes parameters of the caller on, in this order. */
interface Handover {
  readonly index: number;
  readonly params: readonly number[];
}

const alloc = role("__rust_alloc", "rust", "alloc", "size", "align");
const realloc = role("__rust_realloc", "rust", "realloc", "ptr", "old", "align", "size");

/**
 * The role of what an export calls, by the order of the parameters and the number of results.
 * Optimisers inline `__rust_alloc`, and remove an alignment that is never read.
 */
const handed: readonly (readonly [string, string, Role])[] = [
  ["__wbindgen_malloc", "0>1", role("malloc", "rust", "alloc", "size")],
  ["__wbindgen_malloc", "0,1>1", alloc],
  ["__wbindgen_malloc", "1,0>1", role("memalign", "rust", "alloc", "align", "size")],
  ["__wbindgen_realloc", "0,1,3,2>1", realloc],
  [
    "__wbindgen_realloc",
    "0,1,2>1",
    role("__rust_realloc", "rust", "realloc", "ptr", "old", "size"),
  ],
  ["__wbindgen_free", "0>0", role("free", "rust", "free", "ptr")],
  ["__wbindgen_free", "0,1>0", role("__rust_dealloc", "rust", "free", "ptr", "size")],
  ["__wbindgen_free", "0,1,2>0", role("__rust_dealloc", "rust", "free", "ptr", "size", "align")],
];

/** The functions behind wasm-bindgen's exports; none when there are no such exports. */
export function bindgenFind(module: Module): AllocatorFunction[] {
  const found = new Map<number, AllocatorFunction>();
  for (const { kind, name, index } of module.exports) {
    if (kind !== KIND.function || index < module.importedFunctions) continue;
    for (const call of handovers(module, index)) {
      const known = roleOfHandover(module, name, call);
      if (known !== undefined) found.set(call.index, foundOf(call.index, known, "certain"));
    }
  }
  if (found.size === 0) return [];
  const all = [...found.values()];
  return all.some((each) => each.role.action === "realloc")
    ? all
    : [...all, ...reallocs(module, all)];
}

function foundOf(index: number, known: Role, sure: Sureness): AllocatorFunction {
  const source = sure === "certain" ? "export" : "shape";
  return { index, name: `function ${index}`, role: known, source, sure };
}

function roleOfHandover(module: Module, name: string, call: Handover): Role | undefined {
  const { results } = functionType(module, call.index);
  const form = `${call.params}>${results.length}`;
  return handed.find(([from, wanted]) => from === name && wanted === form)?.[2];
}

/** Calls that pass on nothing but parameters of the function. */
function handovers(module: Module, index: number): Handover[] {
  const params = functionType(module, index).params.length;
  const reader = bodyReader(module, index);
  const calls: Handover[] = [];
  let gets: number[] = [];
  while (!reader.done) {
    reader.next();
    if (reader.op === op.localGet && reader.index < params) gets.push(reader.index);
    else {
      const isWhole =
        reader.op === op.call && functionType(module, reader.index).params.length === gets.length;
      if (isWhole && gets.length > 0) calls.push({ index: reader.index, params: gets });
      gets = [];
    }
  }
  return calls;
}

/** Modules may not export a realloc: it has four parameters, calls malloc and reads a header. */
function reallocs(module: Module, found: readonly AllocatorFunction[]): AllocatorFunction[] {
  const makers = found.filter((each) => each.role.action === "alloc").map((each) => each.index);
  return module.bodies.flatMap((_, i) => {
    const index = module.importedFunctions + i;
    const { params, results } = functionType(module, index);
    const calls = module.code.calls[i] as readonly number[];
    const isOne =
      `${params}>${results}` === "127,127,127,127>127" &&
      makers.every((each) => calls.includes(each)) &&
      headerRead(module, index);
    return isOne ? [foundOf(index, realloc, "likely")] : [];
  });
}

/** Whether a function reads the word before its first parameter. */
function headerRead(module: Module, index: number): boolean {
  const reader = bodyReader(module, index);
  const before = [0, 0, 0];
  while (!reader.done) {
    reader.next();
    const isStep =
      reader.op === op.i32Sub && before[1] === op.localGet && before[2] === op.i32Const;
    if (isStep && before[0] === 0 && reader.value === 4) return true;
    before[0] = reader.op === op.localGet ? reader.index : (before[0] as number);
    before[1] = before[2] as number;
    before[2] = reader.op;
  }
  return false;
}
