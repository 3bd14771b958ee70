/** Where a program keeps its stack, its variables and its null page. */

import { CodeReader } from "../module/code.ts";
import type { Module } from "../module/module.ts";
import { I32 } from "../module/value-types.ts";
import { GLOBAL_EXPORT } from "./allocator-hooks.ts";
import { PAGE } from "./layout.ts";

/** The largest range from 0 on that counts as null page: where wasm-ld puts nothing. */
const NULL_PAGE_BYTES = 1024;
/** The stack that wasm-ld makes unless it is told otherwise. */
const STACK_BYTES = 65536;

export interface Regions {
  /** Addresses below this are a null pointer's. */
  readonly nullEnd: number;
  /** The export that has the stack pointer; undefined when there is none like LLVM's. */
  readonly stackPointer: string | undefined;
  /** Where an empty stack begins; it grows down. */
  readonly stackTop: number;
  /** Nothing but stack lies from here to stackTop. */
  readonly stackLow: number;
}

/** What LLVM's layout says; modules of another kind have neither stack nor null page in memory. */
export function regionsOf(module: Module): Regions {
  const index = stackPointerIndex(module);
  if (index < 0) return { nullEnd: 0, stackPointer: undefined, stackTop: 0, stackLow: 0 };
  const stackTop = module.globals[index]?.init?.value as number;
  const addresses = module.data.map((each) => each.address ?? 0);
  const ends = module.data.map((each) => (each.address ?? 0) + each.end - each.start);
  const stackFirst = addresses.every((address) => address >= stackTop);
  const below = ends.filter((end) => end <= stackTop);
  return {
    nullEnd: Math.min(NULL_PAGE_BYTES, ...addresses),
    stackPointer: `${GLOBAL_EXPORT}${index}`,
    stackTop,
    stackLow: stackFirst ? 0 : stackLowest(module, Math.max(0, ...below), stackTop),
  };
}

/** The linker's first global: variable, of 32 bits, and pointing to the end of a stack. */
export function stackPointerIndex(module: Module): number {
  const index = module.globals.findIndex((each) => !each.imported);
  const first = module.globals[index];
  if (!first?.mutable || first.type !== I32 || first.init?.value === undefined) return -1;
  const { value } = first.init;
  const size = (module.memories[0]?.limits.min ?? 0) * PAGE;
  return value >= NULL_PAGE_BYTES && value <= size && value % 16 === 0 ? index : -1;
}

/**
 * Variables without a value lie between data and stack and are in no segment. Any constant of the
 * code that points there may be one of them: what lies below it is not taken for stack.
 */
function stackLowest(module: Module, dataEnd: number, stackTop: number): number {
  let low = Math.max(dataEnd, stackTop - STACK_BYTES);
  for (const body of module.bodies) {
    const reader = new CodeReader(module.bytes, body.code, body.end);
    while (!reader.done) {
      reader.next();
      const value = reader.address;
      if (value >= low && value < stackTop) low = Math.min(stackTop, value + 8);
    }
  }
  return low;
}
