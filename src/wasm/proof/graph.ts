/** Which function calls which, and how many calls a function is away from memory.grow. */
import { callersOf, functionType, KIND, type Module } from "../module/module.ts";
import { GROWS } from "../module/scan.ts";
import { I32 } from "../module/value-types.ts";

/** The distance of a function from which no growth is reached. */
export const FAR = 255;

export class CallGraph {
  readonly module: Module;
  /** For each function those that call it, each once. */
  readonly callers: readonly (readonly number[])[];
  /** For each function the number of calls to memory.grow; FAR if there is no way. */
  readonly distance: Uint8Array;
  /** Functions that the host or a table can call. */
  readonly open: ReadonlySet<number>;

  constructor(module: Module) {
    this.module = module;
    this.callers = callersOf(module);
    this.distance = distancesOf(module, this.callers);
    const exported = module.exports.filter((each) => each.kind === KIND.function);
    this.open = new Set([...module.referenced, ...exported.map((each) => each.index)]);
  }

  /** The functions that a function calls; none for one that is imported. */
  calls(index: number): readonly number[] {
    return this.module.code.calls[index - this.module.importedFunctions] ?? [];
  }

  /** Bytes of a function's code. */
  bytes(index: number): number {
    const body = this.module.bodies[index - this.module.importedFunctions];
    return body ? body.end - body.code : 0;
  }

  /** A function and what it calls, down to a depth, up to a number of functions. */
  closure(index: number, depth: number, most = 64): Set<number> {
    const found = new Set([index]);
    let wave = [index];
    for (let level = 0; level < depth && found.size < most; level++) {
      wave = wave.flatMap((each) => this.calls(each)).filter((each) => !found.has(each));
      for (const each of wave) found.add(each);
    }
    return found;
  }

  /** Whether anything can call a function. */
  isUsed(index: number): boolean {
    return this.open.has(index) || (this.callers[index] as readonly number[]).length > 0;
  }
}

function distancesOf(module: Module, callers: readonly (readonly number[])[]): Uint8Array {
  const distance = new Uint8Array(module.functions.length).fill(FAR);
  let wave = module.functions.map((_, index) => index).filter((index) => grows(module, index));
  for (let level = 0; wave.length > 0 && level < FAR; level++) {
    for (const index of wave) distance[index] = level;
    const next = new Set(wave.flatMap((index) => callers[index] as readonly number[]));
    wave = [...next].filter((index) => distance[index] === FAR);
  }
  return distance;
}

/** Whether a function has memory.grow, or may be the host's way to grow the memory. */
function grows(module: Module, index: number): boolean {
  if (index >= module.importedFunctions) {
    return ((module.code.flags[index - module.importedFunctions] as number) & GROWS) !== 0;
  }
  const { params, results } = functionType(module, index);
  return `${params}>${results}` === `${I32}>${I32}`;
}
