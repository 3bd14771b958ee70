/** Finds a malloc and a free that pass every test: first what is nominated, then by distance. */
import { PAGE_BYTES } from "../../common/constants.ts";
import { KIND, type Module } from "../module/module.ts";
import { Battery } from "./battery.ts";
import { type Pair, PairBattery } from "./battery-more.ts";
import type { FactTable } from "./facts.ts";
import { type CallGraph, FAR } from "./graph.ts";
import { allocRolesOf, type Evidence, freeRolesOf, type Nominee, takesSelf } from "./nominate.ts";
import { isCallable } from "./rewrite.ts";
import type { Scratch } from "./scratch.ts";
import { stateFind } from "./state.ts";
import type { Failure } from "./trial.ts";

/** Functions up to so many calls from memory.grow are tried together. */
const WAVES: readonly number[] = [2, 3, 5];
/** The most functions for which a free is looked for. */
const ALLOCS_MOST = 12;
/** The most functions that are tried without any evidence. */
const FAR_MOST = 2000;
const FREE_DEPTH = 2;
/** The most functions that are tried as free because they name an address that malloc names. */
const SHARING_MOST = 400;
/** Constants below this are small numbers rather than addresses of variables. */
const STATIC_LEAST = 512;
/** The most functions that are run to prepare the memory, and their fuel. */
const CONSTRUCTORS_MOST = 6;
const CONSTRUCTOR_FUEL = 5_000_000;

/** A pair, and how its functions were nominated. */
export interface FoundPair extends Pair {
  readonly alloc: Nominee;
  readonly free: Nominee;
  /** The function that had to run first, as the start function does. */
  readonly after: number | undefined;
}

export class PairSearch {
  readonly #module: Module;
  readonly #battery: Battery;
  readonly #graph: CallGraph;
  readonly #facts: FactTable;
  readonly #nominees: readonly Nominee[];
  readonly #tried = new Set<number>();
  /** Functions that allocate, but for which no free was found. */
  readonly bumps: Nominee[] = [];
  /** Why nominated functions failed, by their index. */
  readonly failures = new Map<number, string>();
  #after: number | undefined;

  constructor(scratch: Scratch, graph: CallGraph, facts: FactTable, nominees: readonly Nominee[]) {
    this.#module = scratch.rewritten.module;
    this.#battery = new Battery(scratch);
    this.#graph = graph;
    this.#facts = facts;
    this.#nominees = nominees;
  }

  get battery(): Battery {
    return this.#battery;
  }

  /** The first pair that is proven; undefined if there is none. */
  find(): FoundPair | undefined {
    return this.#findNow() ?? this.#afterConstructors() ?? this.#far();
  }

  #findNow(): FoundPair | undefined {
    return this.#nominated() ?? this.#exported() ?? this.#waves();
  }

  #nominated(): FoundPair | undefined {
    const allocs = this.#nominees.filter((each) => each.role.action === "alloc");
    const isAlone = (each: Nominee) => this.#isCallable(each.index) && !takesSelf(each.role);
    return this.#among(allocs.filter(isAlone));
  }

  #isCallable(index: number): boolean {
    return index >= this.#module.importedFunctions && isCallable(this.#module, index);
  }

  #exported(): FoundPair | undefined {
    const exported = this.#module.exports.filter((each) => each.kind === KIND.function);
    const near = exported.filter((each) => this.#graph.distance[each.index] !== FAR);
    return this.#among(near.flatMap((each) => this.#asAlloc(each.index, "export", each.name)));
  }

  #waves(): FoundPair | undefined {
    for (const most of WAVES) {
      const near = this.#callable().filter((i) => (this.#graph.distance[i] as number) <= most);
      const pair = this.#among(near.flatMap((index) => this.#asAlloc(index, "growth")));
      if (pair) return pair;
    }
    return undefined;
  }

  /** Functions without evidence: a heap of fixed size is not near memory.grow. */
  #far(): FoundPair | undefined {
    const rest = this.#callable().slice(0, FAR_MOST);
    return this.#among(rest.flatMap((index) => this.#asAlloc(index, "growth")));
  }

  #callable(): number[] {
    const bodies = this.#module.bodies.map((_, i) => this.#module.importedFunctions + i);
    return bodies.filter((index) => this.#isCallable(index) && this.#graph.isUsed(index));
  }

  #asAlloc(index: number, evidence: Evidence, name = `function ${index}`): Nominee[] {
    if (this.#tried.has(index) || !this.#isCallable(index)) return [];
    this.#tried.add(index);
    return allocRolesOf(this.#module, index).map((role) => ({ index, name, role, evidence }));
  }

  /** Runs what a host would run first, and looks again. */
  #afterConstructors(): FoundPair | undefined {
    for (const index of constructorsOf(this.#module).slice(0, CONSTRUCTORS_MOST)) {
      this.#battery.scratch.restore();
      this.#battery.scratch.call(index, CONSTRUCTOR_FUEL, []);
      this.#battery.scratch.snapshot();
      this.#tried.clear();
      this.#after = index;
      const pair = this.#findNow();
      if (pair) return pair;
    }
    return undefined;
  }

  #among(nominees: readonly Nominee[]): FoundPair | undefined {
    const passed = nominees.filter((each) => {
      const failure = this.#battery.allocates(each);
      if (failure) this.failures.set(each.index, failure);
      return failure === undefined;
    });
    const order = (each: Nominee) => this.#graph.distance[each.index] as number;
    const isNamed = passed.some((each) => this.#nominees.includes(each));
    const sorted = isNamed
      ? passed
      : passed.sort((a, b) => a.role.params.length - b.role.params.length || order(a) - order(b));
    for (const alloc of sorted.slice(0, ALLOCS_MOST)) {
      const free = this.#freeOf(alloc);
      if (free) return { alloc, free, after: this.#after };
      this.bumps.push(alloc);
    }
    return undefined;
  }

  #freeOf(alloc: Nominee): Nominee | undefined {
    const nominated = this.#nominees.filter(({ role }) => role.action === "free");
    const isSame = (each: Nominee) => (each.role.family === alloc.role.family ? 0 : 1);
    const first = [...nominated].sort((a, b) => isSame(a) - isSame(b));
    return (
      first.find((free) => this.#isPair(alloc, free)) ??
      this.#freesByState(alloc).find((free) => this.#isPair(alloc, free))
    );
  }

  #isPair(alloc: Nominee, free: Nominee): boolean {
    if (!this.#isCallable(free.index) || takesSelf(free.role)) return false;
    const failure: Failure =
      this.#battery.frees(alloc, free) ??
      new PairBattery(this.#battery, { alloc, free }).test(alloc);
    if (failure) this.failures.set(free.index, failure);
    return failure === undefined;
  }

  /**
   * Functions that touch, within a few calls, what malloc writes; then those that name an address
   * which malloc names: free lists are empty before the first free.
   */
  #freesByState(alloc: Nominee): Nominee[] {
    const state = stateFind(this.#battery, this.#graph, this.#facts, alloc);
    const shared = this.#addresses(this.#graph.closure(alloc.index, FREE_DEPTH));
    const all = this.#callable().filter((index) => index !== alloc.index);
    const frees = all.filter((index) => freeRolesOf(this.#module, index).length > 0);
    const inside = (index: number) => this.#graph.closure(index, FREE_DEPTH);
    const first = frees.filter((index) => [...inside(index)].some((each) => state.touches(each)));
    const isShared = (index: number) =>
      [...this.#addresses(inside(index))].some((at) => shared.has(at));
    const rest = frees.filter((index) => !first.includes(index) && isShared(index));
    return [...first, ...rest.slice(0, SHARING_MOST)].flatMap((index) =>
      freeRolesOf(this.#module, index).map((role): Nominee => {
        return { index, name: `function ${index}`, role, evidence: "state" };
      }),
    );
  }

  /** What some functions name that may be addresses of variables. */
  #addresses(functions: ReadonlySet<number>): Set<number> {
    const end = this.#battery.scratch.rewritten.firstPages * PAGE_BYTES;
    const found = new Set<number>();
    for (const index of functions) {
      const { loads, stores, constants } = this.#facts.of(index);
      for (const at of [...loads, ...stores, ...constants]) {
        if (at >= STATIC_LEAST && at < end) found.add(at);
      }
    }
    return found;
  }
}

/** The start function, and exports without parameters: reactors have an `_initialize`. */
function constructorsOf(module: Module): number[] {
  const exported = module.exports.filter((each) => each.kind === KIND.function);
  const first = exported.filter((each) => /init|ctors/i.test(each.name));
  const all = [...first, ...exported].map((each) => each.index);
  const indices = module.start === undefined ? all : [module.start, ...all];
  const isPlain = (index: number) => {
    const type = module.types[module.functions[index] as number];
    return index >= module.importedFunctions && type?.params.length === 0;
  };
  return [...new Set(indices)].filter((index) => isPlain(index) && isCallable(module, index));
}
