/** Where a program keeps its stack, its variables and its null page. */

import { PAGE_BYTES } from "../../common/constants.ts";
import { CodeReader } from "../module/code.ts";
import type { Module } from "../module/module.ts";
import { I32 } from "../module/value-types.ts";
import { GLOBAL_EXPORT } from "./allocator-hooks.ts";

/** The null page has at most so many bytes: wasm-ld leaves them empty. */
const NULL_PAGE_BYTES = 1024;
/** The size of the stack that wasm-ld makes by default. */
const STACK_BYTES = 65536;

/** The areas of a program's memory. */
export interface Areas {
  /** Addresses below this are of the null page. */
  readonly nullEnd: number;
  /** The export of LLVM's stack pointer; undefined if the program has none. */
  readonly stackPointer: string | undefined;
  /** Where an empty stack begins. It grows down. */
  readonly stackTop: number;
  /** From here to stackTop there is nothing but the stack. */
  readonly stackLow: number;
}

/** The areas of LLVM's layout. Modules of other compilers have neither stack nor null page here. */
export function areasOf(module: Module): Areas {
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

/** The index of LLVM's stack pointer, the first global; -1 if that cannot be one. */
export function stackPointerIndex(module: Module): number {
  const index = module.globals.findIndex((each) => !each.imported);
  const first = module.globals[index];
  if (!first?.mutable || first.type !== I32 || first.init?.value === undefined) return -1;
  const { value } = first.init;
  const size = (module.memories[0]?.limits.min ?? 0) * PAGE_BYTES;
  return value >= NULL_PAGE_BYTES && value <= size && value % 16 === 0 ? index : -1;
}

/**
 * Variables without an initial value are between data and stack, in no segment. Any constant of the
 * code that points there may be the address of one: what is below it is not taken for the stack.
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

/** The end of what the program has in its memory before its heap begins. */
export function programEnd(module: Module, { stackTop }: Areas): number {
  const ends = module.data.map((each) => (each.address ?? 0) + each.end - each.start);
  return ends.reduce((most, end) => Math.max(most, end), stackTop);
}

export function isOnStack({ stackLow, stackTop }: Areas, address: number): boolean {
  return address >= stackLow && address < stackTop;
}
