/**
 * Guesses the allocator of a stripped module from its code: which functions lead to memory.grow,
 * which use the same static variables, which call each other and with which types.
 */

import { PAGE_BYTES } from "../../common/constants.ts";
import { functionType, type Module } from "../module/module.ts";
import { op } from "../module/opcodes.ts";
import { bodyReader } from "../module/reader.ts";
import { GROWS, TOUCHES } from "../module/scan.ts";
import { type AllocatorFunction, type Role, rolesToGive, type Sureness } from "./roles.ts";

/** Constants below this are small numbers rather than addresses of variables. */
const STATIC_LEAST = 512;
/** malloc and free of one allocator have at least so many static addresses in common. */
const SHARED_LEAST = 3;
/** With so many it is likely that they belong together. */
const SHARED_LIKELY = 5;
/** The most calls between malloc and memory.grow: malloc, dlmalloc, sbrk. */
const GROW_DEPTH = 3;
/** The most bytes of a header. */
const HEADER_MOST = 32;
/** memalign calls malloc, and a function that frees a part of a block. */
const MEMALIGN_CALLEES = 2;
/** A function that writes headers uses at least so many addresses before a block. */
const HEADERS_LEAST = 3;
/** A free list's insertion needs more code than this. */
const BODY_LEAST = 64;

interface Shape {
  readonly index: number;
  readonly calls: readonly number[];
  readonly flags: number;
  readonly bytes: number;
  readonly type: string;
}

/** The functions that look like malloc, free, calloc and realloc; empty if none does. */
export function shapesFind(module: Module): AllocatorFunction[] {
  return new Shapes(module).find();
}

/**
 * What belongs to a malloc and a free that are known by their exports, in a module without names.
 */
export function relatedFind(
  module: Module,
  mallocs: readonly number[],
  frees: readonly number[],
): AllocatorFunction[] {
  return new Shapes(module).related(mallocs, frees, "likely");
}

class Shapes {
  readonly #module: Module;
  readonly #shapes: Shape[];
  readonly #callers: number[];

  constructor(module: Module) {
    this.#module = module;
    const { calls, flags } = module.code;
    this.#callers = new Array<number>(module.functions.length).fill(0);
    this.#shapes = module.bodies.map((body, i) => {
      const index = module.importedFunctions + i;
      for (const callee of calls[i] as number[]) (this.#callers[callee] as number) += 1;
      return {
        index,
        calls: calls[i] as number[],
        flags: flags[i] as number,
        bytes: body.end - body.code,
        type: this.#typeOf(index),
      };
    });
  }

  #typeOf(index: number): string {
    const { params, results } = functionType(this.#module, index);
    return `${params}>${results}`;
  }

  #shape(index: number): Shape | undefined {
    return this.#shapes[index - this.#module.importedFunctions];
  }

  find(): AllocatorFunction[] {
    const pair = this.#pairFind();
    if (!pair) return [];
    const { malloc, free, shared } = pair;
    const sure: Sureness = shared >= SHARED_LIKELY ? "likely" : "guess";
    const mallocs = this.#withWrappers(malloc);
    const frees = this.#withWrappers(free);
    const found = [
      ...mallocs.map((each) => this.#found(each, "malloc", sure)),
      ...frees.map((each) => this.#found(each, "free", sure)),
      ...this.related(mallocs, frees, sure),
    ];
    if (!this.#hasMore(found, malloc)) return found;
    return found.map((each) => ({ ...each, sure: "guess" }));
  }

  /** calloc, realloc and memalign beside a malloc and a free that are known. */
  related(
    mallocs: readonly number[],
    frees: readonly number[],
    sure: Sureness,
  ): AllocatorFunction[] {
    const found: AllocatorFunction[] = [];
    for (const shape of this.#ofType("127,127>127")) {
      if (!shape.calls.some((callee) => mallocs.includes(callee))) continue;
      if (this.#isRealloc(shape, mallocs, frees))
        found.push(this.#found(shape.index, "realloc", sure));
      else if (this.#headersRead(shape)) found.push(this.#found(shape.index, "memalign", sure));
      else if (this.#multiplies(shape)) found.push(this.#found(shape.index, "calloc", sure));
    }
    return found;
  }

  /** The pair of i32→i32 and i32→nothing, both large, that shares the most static variables. */
  #pairFind(): { malloc: number; free: number; shared: number } | undefined {
    const large = (shape: Shape) => shape.bytes >= BODY_LEAST && (shape.flags & TOUCHES) !== 0;
    const mallocs = this.#ofType("127>127").filter((s) => large(s) && this.#grows(s, GROW_DEPTH));
    const frees = this.#ofType("127>").filter((s) => large(s) && this.#callers[s.index] !== 0);
    let best: { malloc: number; free: number; shared: number } | undefined;
    for (const malloc of mallocs) {
      const statics = this.#statics(malloc.index);
      for (const free of frees) {
        if (!this.#readsBefore(free.index)) continue;
        const shared = [...this.#statics(free.index)].filter((at) => statics.has(at)).length;
        if (shared < SHARED_LEAST || shared <= (best?.shared ?? 0)) continue;
        best = { malloc: malloc.index, free: free.index, shared };
      }
    }
    return best;
  }

  #ofType(type: string): Shape[] {
    return this.#shapes.filter((shape) => shape.type === type);
  }

  #grows(shape: Shape, depth: number): boolean {
    if (shape.flags & GROWS) return true;
    return [...new Set(shape.calls)].some((callee) => {
      // emscripten lets JavaScript grow the memory: bytes in, success out.
      if (callee < this.#module.importedFunctions) return this.#typeOf(callee) === "127>127";
      return depth > 0 && this.#grows(this.#shape(callee) as Shape, depth - 1);
    });
  }

  #statics(index: number): Set<number> {
    return addressesOf(this.#module, index);
  }

  /** free reads the header, which is before the block. */
  #readsBefore(index: number): boolean {
    return this.#stepsBack(index, true) > 0;
  }

  /** How often code subtracts a few bytes from a local: from parameter 0, or from any. */
  #stepsBack(index: number, fromFirst: boolean): number {
    const reader = bodyReader(this.#module, index);
    let steps = 0;
    let [local, value] = [-1, 0];
    while (!reader.done) {
      reader.next();
      const down = reader.op === op.i32Add ? -value : reader.op === op.i32Sub ? value : 0;
      if (down > 0 && down <= HEADER_MOST && local >= 0 && !(fromFirst && local > 0)) steps++;
      value = reader.op === op.i32Const ? reader.value : 0;
      if (reader.op === op.localGet || reader.op === op.localTee) local = reader.index;
      else if (reader.op !== op.i32Const) local = -1;
    }
    return steps;
  }

  /** A function and those that only pass their parameter to it. */
  #withWrappers(index: number): number[] {
    const { type } = this.#shape(index) as Shape;
    const wrappers = this.#ofType(type).filter((shape) => this.#handsTo(shape.index, index));
    return [index, ...wrappers.map((shape) => shape.index)];
  }

  #handsTo(index: number, callee: number): boolean {
    const reader = bodyReader(this.#module, index);
    const next = (): number => {
      reader.next();
      return reader.op;
    };
    if (next() !== op.localGet || next() !== op.call || reader.index !== callee) return false;
    return next() === op.end && reader.done;
  }

  /** realloc of null is malloc: its second parameter goes there as it is. */
  #passesSize(index: number, mallocs: readonly number[]): boolean {
    const reader = bodyReader(this.#module, index);
    let isSize = false;
    while (!reader.done) {
      reader.next();
      if (isSize && reader.op === op.call && mallocs.includes(reader.index)) return true;
      isSize = reader.op === op.localGet && reader.index === 1;
    }
    return false;
  }

  /**
   * Whether functions that were not found use malloc's variables, and are called by others than
   * those found: then parts of the allocator are inlined in the program.
   */
  #hasMore(found: readonly AllocatorFunction[], malloc: number): boolean {
    const indices = new Set(found.map((each) => each.index));
    const statics = this.#statics(malloc);
    const used = new Set(this.#module.referenced);
    for (const shape of this.#shapes) {
      if (!indices.has(shape.index)) for (const callee of shape.calls) used.add(callee);
    }
    return this.#shapes.some((shape) => {
      if (indices.has(shape.index) || !used.has(shape.index) || shape.bytes < BODY_LEAST)
        return false;
      if (!shape.calls.some((callee) => indices.has(callee))) return false;
      const shared = [...this.#statics(shape.index)].filter((at) => statics.has(at));
      return shared.length >= SHARED_LEAST;
    });
  }

  /** realloc frees, or uses the same variables as malloc. */
  #isRealloc(shape: Shape, mallocs: readonly number[], frees: readonly number[]): boolean {
    if (!this.#passesSize(shape.index, mallocs)) return false;
    if (shape.calls.some((callee) => frees.includes(callee))) return this.#readsBefore(shape.index);
    const statics = new Set(mallocs.flatMap((each) => [...this.#statics(each)]));
    const shared = [...this.#statics(shape.index)].filter((at) => statics.has(at));
    return shared.length >= SHARED_LEAST && this.#readsBefore(shape.index);
  }

  /** memalign allocates more than it needs, and writes headers to free what is too much. */
  #headersRead(shape: Shape): boolean {
    if (new Set(shape.calls).size > MEMALIGN_CALLEES) return false;
    return this.#stepsBack(shape.index, false) >= HEADERS_LEAST;
  }

  /** calloc multiplies its parameters, and not values that it has loaded. */
  #multiplies(shape: Shape): boolean {
    const reader = bodyReader(this.#module, shape.index);
    const params: number[] = [];
    while (!reader.done) {
      reader.next();
      if (reader.op === op.localGet && reader.index < 2) params.push(reader.index);
      else if (reader.op === op.i32Mul || reader.op === op.i64Mul) {
        if (params.length >= 2 && params.at(-1) !== params.at(-2)) return true;
      } else if (reader.op !== op.i64ExtendI32U) params.length = 0;
    }
    return false;
  }

  #found(index: number, name: string, sure: Sureness): AllocatorFunction {
    const role = rolesToGive.find((each) => each.name === name) as Role;
    return { index, name: `function ${index}`, role, source: "shape", sure };
  }
}

/** Offsets of accesses and constants that may be addresses of static variables. */
export function addressesOf(module: Module, index: number): Set<number> {
  const addresses = new Set<number>();
  const limit = (module.memories[0]?.limits.min ?? 0) * PAGE_BYTES;
  const reader = bodyReader(module, index);
  while (!reader.done) {
    reader.next();
    const value = reader.address;
    if (value >= STATIC_LEAST && value < limit) addresses.add(value);
  }
  return addresses;
}
