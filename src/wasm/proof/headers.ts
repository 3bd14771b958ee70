/**
 * Which functions look into the header of a block: they load a word just before a pointer and mask
 * its flags, as code of an allocator does that was inlined. Only code without branches between is
 * followed.
 */
import type { CodeReader } from "../module/code.ts";
import type { Module } from "../module/module.ts";
import { op, opcodeOf } from "../module/opcodes.ts";
import { bodyReader } from "../module/reader.ts";

/** Where dlmalloc and its like have the size and flags of a block. */
const HEADERS: readonly number[] = [-4, -8];
/** Masks of flags, and of sizes without flags. */
const MASKS: readonly number[] = [1, 2, 3, 7, -2, -4, -8];

/** What is known of a value: a constant, a pointer plus something, or a word of a header. */
type Value =
  | { readonly kind: "constant"; readonly value: number }
  | { readonly kind: "pointer"; readonly offset: number }
  | { readonly kind: "header" }
  | undefined;

/** Whether a function masks a word that it has loaded from before a pointer. */
export function readsHeader(module: Module, index: number): boolean {
  return new HeaderScan(bodyReader(module, index)).run();
}

class HeaderScan {
  readonly #code: CodeReader;
  readonly #locals = new Map<number, Value>();
  #stack: Value[] = [];

  constructor(code: CodeReader) {
    this.#code = code;
  }

  run(): boolean {
    while (!this.#code.done) {
      this.#code.next();
      if (this.#step(this.#code.op)) return true;
    }
    return false;
  }

  /** Returns true for a header's word that is masked. */
  #step(code: number): boolean {
    if (code === op.i32Const) this.#stack.push({ kind: "constant", value: this.#code.value });
    else if (code === op.localGet) this.#stack.push(this.#local(this.#code.index));
    else if (code === op.localSet) this.#locals.set(this.#code.index, this.#stack.pop());
    else if (code === op.localTee) this.#locals.set(this.#code.index, this.#stack.at(-1));
    else if (code === op.i32Add) this.#sum(1);
    else if (code === op.i32Sub) this.#sum(-1);
    else if (code === op.i32Load) this.#load();
    else if (code === op.i32And) return this.#mask();
    else this.#other(code);
    return false;
  }

  /** A local of which nothing is known may be a pointer. */
  #local(index: number): Value {
    return this.#locals.get(index) ?? { kind: "pointer", offset: 0 };
  }

  #sum(sign: 1 | -1): void {
    const [b, a] = [this.#stack.pop(), this.#stack.pop()];
    const isStep = a?.kind === "pointer" && b?.kind === "constant";
    this.#stack.push(isStep ? { kind: "pointer", offset: a.offset + sign * b.value } : undefined);
  }

  #load(): void {
    const address = this.#stack.pop();
    const isHeader =
      address?.kind === "pointer" && HEADERS.includes(address.offset + this.#code.offset);
    this.#stack.push(isHeader ? { kind: "header" } : undefined);
  }

  #mask(): boolean {
    const values = [this.#stack.pop(), this.#stack.pop()];
    this.#stack.push(undefined);
    const isMask = (each: Value) => each?.kind === "constant" && MASKS.includes(each.value);
    return values.some((each) => each?.kind === "header") && values.some(isMask);
  }

  #other(code: number): void {
    const { pops, pushes } = opcodeOf(code);
    if (pops === undefined || pushes === undefined) this.#stack = [];
    else {
      this.#stack.length = Math.max(0, this.#stack.length - pops.length);
      for (const _ of pushes) this.#stack.push(undefined);
    }
  }
}
