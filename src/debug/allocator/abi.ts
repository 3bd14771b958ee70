/**
 * The debug allocator under every name of createAbi, for the import object of a wasm module.
 * What C leaves undefined is reported; a request that cannot be met returns 0.
 */

import { errnoOf } from "../../common/errno.ts";
import type { HeapAbi } from "../../heap/calls/abi.ts";
import { mallinfoNames, mallinfoWrite, processAbi } from "../../heap/calls/abi-process.ts";
import type { AbiFunction } from "../../heap/calls/contract.ts";
import { callRows, heapNames, names, operators, prefixed } from "../../heap/calls/table.ts";
import { MAIN_HEAP } from "../store/block.ts";
import type { CallSite } from "./call-site.ts";
import { type DebugCall, debugCalls } from "./debug-calls.ts";
import type { DebugCore } from "./debug-core.ts";

/** The names of HeapAbi. Sizes and alignments that frees name are compared. */
export type DebugAbi = HeapAbi;

/** Numbers come as WebAssembly sends them: signed. */
export function abiOf(core: DebugCore): DebugAbi {
  const abi: Record<string, AbiFunction> = {};
  const add = (name: string, target: AbiFunction) => {
    for (const each of prefixed(name)) abi[each] = target;
  };
  for (const [call, row] of callRows) {
    const run = row.returns === "errno" ? errnoRun(debugCalls[call]) : debugCalls[call];
    for (const name of names(row)) add(name, functionOf(core, name, run));
    for (const name of heapNames(row)) add(name, heapFunctionOf(core, name, run));
  }
  for (const { name, call } of operators()) {
    abi[name] = functionOf(core, operatorText(name), debugCalls[call]);
  }
  for (const [name, target] of Object.entries(heapFunctions(core))) add(name, target);
  const mallinfo: AbiFunction = (out = 0) => {
    const { requested, resident, live } = core.blocks;
    mallinfoWrite(core.backing.u8, out >>> 0, {
      heapBytes: resident,
      blockBytes: requested,
      freeBytes: resident - requested,
      pageBytesPeak: resident,
      pages: live,
    });
  };
  return Object.assign(abi, processAbi(), mallinfoNames(mallinfo)) as unknown as DebugAbi;
}

/** How reports name an operator of C++: as its authors write it. */
function operatorText(name: string): string {
  const [, kind, array] = /^_Z(n|d)(w|l|a)/.exec(name) as unknown as [string, string, string];
  return `operator ${kind === "n" ? "new" : "delete"}${array === "a" ? "[]" : ""}`;
}

function functionOf(core: DebugCore, call: string, run: DebugCall): AbiFunction {
  const entry: AbiFunction = (a = 0, b = 0, c = 0, d = 0, e = 0) =>
    numberOf(run(core, site, a >>> 0, b >>> 0, c >>> 0, d >>> 0, e >>> 0));
  const site: CallSite = { call, entry };
  return entry;
}

function heapFunctionOf(core: DebugCore, call: string, run: DebugCall): AbiFunction {
  const entry: AbiFunction = (heap = 0, a = 0, b = 0, c = 0, d = 0, e = 0) => {
    const site = { call, entry, heap: heap >>> 0 };
    return numberOf(run(core, site, a >>> 0, b >>> 0, c >>> 0, d >>> 0, e >>> 0));
  };
  return entry;
}

/** C programs have WASI's numbers. */
function errnoRun(run: DebugCall): DebugCall {
  return (core, site, a, b, c, d, e) => errnoOf("wasi", Number(run(core, site, a, b, c, d, e)));
}

function numberOf(result: ReturnType<DebugCall>): number | undefined {
  return result === undefined ? undefined : Number(result);
}

/** mimalloc's sub-heaps; a heap is its id, and ids are what C passes around. */
function heapFunctions(core: DebugCore): Record<string, AbiFunction> {
  const isOwned = (heap: number, p: number) => p % 8 === 0 && core.heapOf(p) === heap;
  const collect: AbiFunction = () => core.collect({ call: "collect", entry: collect });
  const destroy: AbiFunction = (heap = 0) =>
    core.heapDestroy({ call: "heap_destroy", entry: destroy }, heap >>> 0);
  return {
    collect,
    heap_collect: collect,
    heap_new: () => core.heaps.draw(),
    heap_delete: (heap = 0) => core.heapDelete(heap >>> 0),
    heap_destroy: destroy,
    heap_get_default: () => core.heaps.default,
    heap_set_default: (heap = 0) => core.heapDefault(heap >>> 0),
    heap_get_backing: () => MAIN_HEAP,
    heap_contains_block: (heap = 0, p = 0) => Number(core.heapOf(p >>> 0) === heap >>> 0),
    heap_check_owned: (heap = 0, p = 0) => Number(isOwned(heap >>> 0, p >>> 0)),
    check_owned: (p = 0) => Number(isOwned(core.heaps.default, p >>> 0)),
  };
}
