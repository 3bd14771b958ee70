/** Which functions of a module can still run after the bodies of some were replaced. */

import { addressesOf } from "../allocators/shapes.ts";
import { KIND, type Module } from "../module/module.ts";
import { op } from "../module/opcodes.ts";
import { bodyReader, hasInstruction } from "../module/reader.ts";

/** A function that uses so many addresses of malloc and free is a part of their allocator. */
const SHARED_LEAST = 3;

/**
 * 1 for every function that exports, tables, references or the start lead to. Functions in
 * `replaced` do not call functions of the original any more; `roots` are called by added code.
 */
export function liveFind(
  module: Module,
  replaced: ReadonlySet<number>,
  roots: readonly number[] = [],
): Uint8Array {
  const live = new Uint8Array(module.functions.length);
  const waiting: number[] = [];
  const reach = (index: number) => {
    if (live[index] === 1) return;
    live[index] = 1;
    waiting.push(index);
  };
  for (const { kind, index } of module.exports) if (kind === KIND.function) reach(index);
  for (const index of [...module.referenced, ...roots]) reach(index);
  if (module.start !== undefined) reach(module.start);
  for (let index = waiting.pop(); index !== undefined; index = waiting.pop()) {
    if (replaced.has(index)) continue;
    for (const callee of module.code.calls[index - module.importedFunctions] ?? []) reach(callee);
  }
  return live;
}

/** Whether at most `depth` calls lead from a function to one of the targets. */
export function leadsTo(
  module: Module,
  index: number,
  targets: ReadonlySet<number>,
  depth: number,
): boolean {
  const callees = module.code.calls[index - module.importedFunctions] ?? [];
  if (callees.some((callee) => targets.has(callee))) return true;
  return depth > 1 && callees.some((callee) => leadsTo(module, callee, targets, depth - 1));
}

/** The function that another one only passes its first parameter to. */
export function forwardsTo(module: Module, index: number): number | undefined {
  const reader = bodyReader(module, index);
  const next = (): number => {
    reader.next();
    return reader.op;
  };
  if (next() !== op.localGet || reader.index !== 0 || next() !== op.call) return undefined;
  const callee = reader.index;
  return next() === op.end && reader.done ? callee : undefined;
}

/**
 * Live functions that use the variables of the replaced allocator: those that malloc and free of
 * the original have in common. For these functions its heap is always empty.
 */
export function leftoversFind(
  module: Module,
  live: Uint8Array,
  replaced: ReadonlySet<number>,
): number[] {
  const state = stateOf(module, replaced);
  if (state.size < SHARED_LEAST) return [];
  return module.bodies.flatMap((_, i) => {
    const index = module.importedFunctions + i;
    if (live[index] === 0 || replaced.has(index)) return [];
    const shared = [...addressesOf(module, index)].filter((at) => state.has(at));
    return shared.length >= SHARED_LEAST ? [index] : [];
  });
}

/**
 * Addresses that at least two of the allocator's functions use, without powers of two and their
 * neighbours.
 */
function stateOf(module: Module, replaced: ReadonlySet<number>): Set<number> {
  const once = new Set<number>();
  const twice = new Set<number>();
  for (const index of reachedBy(module, replaced, 1)) {
    for (const at of addressesOf(module, index)) {
      if ((at & (at - 1)) === 0 || (at & (at + 1)) === 0) continue;
      if (once.has(at)) twice.add(at);
      once.add(at);
    }
  }
  return twice;
}

/** These functions, and those that at most `depth` calls lead to. */
export function reachedBy(module: Module, from: ReadonlySet<number>, depth: number): Set<number> {
  const reached = new Set(from);
  let edge = [...from];
  for (let step = 0; step < depth; step++) {
    const callees = edge.flatMap(
      (each) => module.code.calls[each - module.importedFunctions] ?? [],
    );
    edge = [...new Set(callees)].filter((each) => {
      return each >= module.importedFunctions && !reached.has(each);
    });
    for (const each of edge) reached.add(each);
  }
  return reached;
}

/**
 * The address of errno: where the allocator's code stores ENOMEM; undefined if there is none, or
 * more than one.
 */
export function errnoFind(
  module: Module,
  replaced: ReadonlySet<number>,
  enomem: number,
): number | undefined {
  const found = new Set<number>();
  for (const index of reachedBy(module, replaced, 3)) {
    const reader = bodyReader(module, index);
    const constants = [-1, -1];
    while (!reader.done) {
      reader.next();
      const [base, value] = constants as [number, number];
      if (reader.op === op.i32Store && value === enomem && base >= 0) {
        found.add(base + reader.offset);
      }
      constants.shift();
      constants.push(reader.op === op.i32Const ? reader.value : -1);
    }
  }
  const [address, second] = found;
  return second === undefined ? address : undefined;
}

/** Live functions that read the size of the memory: they may use all of it up to its end. */
export function sizeReadersFind(module: Module, live: Uint8Array): number[] {
  return module.bodies.flatMap((_, i) => {
    const index = module.importedFunctions + i;
    return live[index] === 1 && hasInstruction(module, index, op.memorySize) ? [index] : [];
  });
}
