/** Which functions can lead to an allocation: only those need to pass a calling context. */
import { callersOf, type Module } from "../module/module.ts";
import { CALLS_INDIRECT } from "../module/scan.ts";

export interface Reach {
  /** 1 for every function that can reach one of the targets, and for the targets. */
  readonly leads: Uint8Array;
  /** Whether a call through a table or a reference can reach one. */
  readonly indirect: boolean;
}

export function reachOf(module: Module, targets: readonly number[]): Reach {
  const leads = new Uint8Array(module.functions.length);
  const callers = callersOf(module);
  const referenced = new Set(module.referenced);
  const waiting = [...targets];
  let indirect = false;
  const add = (index: number) => {
    if (leads[index] === 0) waiting.push(index);
    leads[index] = 1;
  };
  for (const target of targets) leads[target] = 1;
  for (let index = waiting.pop(); index !== undefined; index = waiting.pop()) {
    for (const caller of callers[index] as number[]) add(caller);
    if (indirect || !referenced.has(index)) continue;
    indirect = true;
    module.code.flags.forEach((flags, i) => {
      if (flags & CALLS_INDIRECT) add(module.importedFunctions + i);
    });
  }
  return { leads, indirect };
}
