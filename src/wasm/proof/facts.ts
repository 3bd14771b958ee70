/**
 * What the code of a function names: the static addresses that it loads and stores, constants, and
 * globals. Constants are followed through the operand stack and locals, so that the offset of a
 * field of a structure is not taken for an address.
 */
import type { CodeReader } from "../module/code.ts";
import { type FunctionType, functionType, KIND, type Module } from "../module/module.ts";
import type { Access } from "../module/opcode-row.ts";
import { accessOf, op, opcodeOf } from "../module/opcodes.ts";
import { blockType, bodyReader } from "../module/reader.ts";
import { MEMORY_BASE, MEMORY_BASE_NAME } from "./stand-ins.ts";

const CALLS: readonly number[] = [op.call, op.returnCall];
const CALLS_INDIRECT: readonly number[] = [op.callIndirect, op.returnCallIndirect];
const BLOCKS: readonly number[] = [op.block, op.loop, op.if, 0x06, 0x1f];
const DELEGATE = 0x18;
const CATCHES: readonly number[] = [op.else, 0x07, 0x19];

/** What a function names. */
export interface Facts {
  /** Static addresses at which it loads. */
  readonly loads: ReadonlySet<number>;
  /** Static addresses at which it stores. */
  readonly stores: ReadonlySet<number>;
  /** The bytes of the widest access at each of these addresses. */
  readonly widths: ReadonlyMap<number, number>;
  /** All constants of 32 bits. */
  readonly constants: ReadonlySet<number>;
  /** Indices of globals that it reads or writes. */
  readonly globals: ReadonlySet<number>;
  /** For functions that it calls: constants that it passes as their first argument. */
  readonly firsts: ReadonlyMap<number, ReadonlySet<number>>;
}

/** Whether a function accesses a byte for which a test holds, at an address that it names. */
export function accessesByte({ widths }: Facts, test: (at: number) => boolean): boolean {
  for (const [at, width] of widths) {
    for (let i = 0; i < width; i++) if (test(at + i)) return true;
  }
  return false;
}

/** Facts of functions, each found once. */
export class FactTable {
  readonly #module: Module;
  readonly #bases: ReadonlyMap<number, number>;
  readonly #known = new Map<number, Facts>();

  constructor(module: Module) {
    this.#module = module;
    this.#bases = basesOf(module);
  }

  #find(index: number): Facts {
    return new Follower(this.#module, index, this.#bases).run();
  }

  of(index: number): Facts {
    const known = this.#known.get(index);
    if (known) return known;
    const facts = index < this.#module.importedFunctions ? NONE : this.#find(index);
    this.#known.set(index, facts);
    return facts;
  }
}

const NONE: Facts = {
  loads: new Set(),
  stores: new Set(),
  widths: new Map(),
  constants: new Set(),
  globals: new Set(),
  firsts: new Map(),
};

/** The values that a scratch instance gives to imported bases. */
function basesOf(module: Module): Map<number, number> {
  const globals = module.imports.filter((each) => each.kind === KIND.global);
  const known = globals.map(({ name }, i) => [i, name] as const);
  const bases = known.filter(([, name]) => MEMORY_BASE_NAME.test(name));
  return new Map(bases.map(([i]) => [i, MEMORY_BASE]));
}

type Known = number | undefined;

interface Frame {
  /** Values on the stack below the block. */
  readonly height: number;
  readonly params: number;
  readonly results: number;
}

/** Follows the constants of one function; a value that is not a constant is undefined. */
class Follower {
  readonly #module: Module;
  readonly #code: CodeReader;
  readonly #loads = new Set<number>();
  readonly #stores = new Set<number>();
  readonly #widths = new Map<number, number>();
  readonly #constants = new Set<number>();
  readonly #globals = new Set<number>();
  readonly #firsts = new Map<number, Set<number>>();
  readonly #stack: Known[] = [];
  readonly #frames: Frame[] = [];
  /** Globals whose value is known: where the data of a module that is linked late begins. */
  readonly #bases: ReadonlyMap<number, number>;
  readonly #locals = new Map<number, number>();
  #height = 0;

  constructor(module: Module, index: number, bases: ReadonlyMap<number, number>) {
    this.#module = module;
    this.#bases = bases;
    this.#code = bodyReader(module, index);
  }

  run(): Facts {
    while (!this.#code.done) {
      this.#code.next();
      this.#step(this.#code.op);
    }
    return {
      loads: this.#loads,
      stores: this.#stores,
      widths: this.#widths,
      constants: this.#constants,
      globals: this.#globals,
      firsts: this.#firsts,
    };
  }

  #pop(): Known {
    return this.#stack.length > this.#height ? this.#stack.pop() : undefined;
  }

  #popMany(count: number): void {
    for (let i = 0; i < count; i++) this.#pop();
  }

  #pushUnknown(count: number): void {
    for (let i = 0; i < count; i++) this.#stack.push(undefined);
  }

  #step(code: number): void {
    const access = accessOf(code);
    if (access) this.#access(access, code);
    else if (code === op.i32Const) {
      this.#stack.push(this.#code.value);
      this.#constants.add(this.#code.value >>> 0);
    } else if (code >= op.localGet && code <= op.globalSet) this.#variable(code);
    else if (code === op.i32Add || code === op.i32Sub) this.#sum(code === op.i32Add ? 1 : -1);
    else if (BLOCKS.includes(code)) this.#open(code);
    else if (code === op.end || code === DELEGATE) this.#close();
    else if (CATCHES.includes(code)) this.#otherwise();
    else if (CALLS.includes(code)) this.#callDirect(this.#code.index);
    else if (CALLS_INDIRECT.includes(code)) this.#callIndirect();
    else this.#plain(code);
  }

  #access({ write, operands, size }: Access, code: number): void {
    this.#popMany(operands.length);
    const base = this.#pop();
    if (base !== undefined) {
      const at = (base >>> 0) + this.#code.offset;
      (write ? this.#stores : this.#loads).add(at);
      this.#widths.set(at, Math.max(size, this.#widths.get(at) ?? 0));
    }
    this.#pushUnknown(opcodeOf(code).pushes?.length ?? 0);
  }

  #variable(code: number): void {
    const { index } = this.#code;
    if (code === op.globalGet || code === op.globalSet) {
      this.#globals.add(index);
      if (code === op.globalGet) this.#stack.push(this.#bases.get(index));
      else this.#pop();
    } else if (code === op.localGet) this.#stack.push(this.#locals.get(index));
    else {
      const value = this.#pop();
      if (value === undefined) this.#locals.delete(index);
      else this.#locals.set(index, value);
      if (code === op.localTee) this.#stack.push(value);
    }
  }

  #sum(sign: 1 | -1): void {
    const [b, a] = [this.#pop(), this.#pop()];
    this.#stack.push(a === undefined || b === undefined ? undefined : (a + sign * b) | 0);
  }

  #open(code: number): void {
    if (code === op.if) this.#pop();
    const { params, results } = blockType(this.#module, this.#code);
    this.#popMany(params.length);
    this.#frames.push({ height: this.#height, params: params.length, results: results.length });
    this.#height = this.#stack.length;
    this.#pushUnknown(params.length);
    // Control comes back to a loop with other values.
    if (code === op.loop) this.#locals.clear();
  }

  #close(): void {
    this.#locals.clear();
    const frame = this.#frames.pop();
    if (!frame) return;
    this.#stack.length = Math.min(this.#stack.length, this.#height);
    this.#height = frame.height;
    this.#pushUnknown(frame.results);
  }

  #otherwise(): void {
    this.#locals.clear();
    this.#stack.length = Math.min(this.#stack.length, this.#height);
    this.#pushUnknown(this.#frames.at(-1)?.params ?? 0);
  }

  #callDirect(callee: number): void {
    const type = functionType(this.#module, callee);
    const at = this.#stack.length - type.params.length;
    const first = at >= this.#height && type.params.length > 0 ? this.#stack[at] : undefined;
    if (first !== undefined) {
      const known = this.#firsts.get(callee) ?? new Set();
      this.#firsts.set(callee, known.add(first >>> 0));
    }
    this.#call(type);
  }

  #call({ params, results }: FunctionType): void {
    this.#popMany(params.length);
    this.#pushUnknown(results.length);
  }

  #callIndirect(): void {
    this.#pop();
    const type = this.#module.types[this.#code.index];
    if (type) this.#call(type);
  }

  /** An instruction of which only the number of operands and results matters. */
  #plain(code: number): void {
    const { pops, pushes } = opcodeOf(code);
    if (pops && pushes) {
      this.#popMany(pops.length);
      this.#pushUnknown(pushes.length);
    } else if (code === op.drop) this.#pop();
    else if (code === op.select || code === op.selectTyped) {
      this.#popMany(3);
      this.#pushUnknown(1);
    } else this.#stack.length = Math.min(this.#stack.length, this.#height);
  }
}
