/** Proves which functions of a module are its allocator, by running them. */

import type { AllocatorFunction } from "../allocators/roles.ts";
import type { Module } from "../module/module.ts";
import { knownNames } from "../module/names.ts";
import { PairBattery } from "./battery-more.ts";
import { breakFind, type ProgramBreak } from "./break.ts";
import { FactTable } from "./facts.ts";
import { CallGraph } from "./graph.ts";
import { readsHeader } from "./headers.ts";
import { type Leftover, leftoversFind } from "./leftovers.ts";
import {
  type Evidence,
  type Nominee,
  nomineesFind,
  rolesOf,
  selfRolesOf,
  takesSelf,
} from "./nominate.ts";
import { type FoundPair, PairSearch } from "./pair.ts";
import { isCallable, obstacleOf, scratchRewrite } from "./rewrite.ts";
import { Scratch } from "./scratch.ts";
import { type AllocatorState, type Range, stateFind, statesPassed } from "./state.ts";

/** Callers of the allocator that are not larger may be wrappers of it. */
const WRAPPER_BYTES = 1500;
/** The most addresses that are tried as the state. */
const SELVES_MOST = 8;
/** Callers of wrappers. */
const OUTER_BYTES = 400;

/**
 * What could be proven: `proven` there is a malloc with its free, `bump` functions allocate and
 * nothing frees, `none` nothing allocates, `undecided` the module could not be tried.
 */
export type Outcome = "proven" | "bump" | "none" | "undecided";

/** A function that has passed the tests of its role, or has failed them though it was nominated. */
export interface TriedFunction extends Nominee {
  /** Why it is not proven; undefined if it is. */
  readonly failure: string | undefined;
  /** Whether it touches the allocator's variables; otherwise it calls functions that do. */
  readonly base: boolean;
  /** Whether it names no variable of the program: nothing is lost with its code. */
  readonly plain: boolean;
}

/** The malloc and the free that were proven together. */
export interface ProvenPair {
  readonly alloc: Nominee;
  readonly free: Nominee;
}

/** What is known about a module's allocator. */
export interface Proof {
  readonly outcome: Outcome;
  /** Why, in a few words. */
  readonly reason: string;
  readonly functions: readonly TriedFunction[];
  /** The malloc and the free with which the others were tried; undefined if nothing is proven. */
  readonly pair: ProvenPair | undefined;
  /** Addresses of the allocator's variables. */
  readonly state: readonly Range[];
  /** Globals that belong to the allocator. */
  readonly stateGlobals: readonly number[];
  readonly leftovers: readonly Leftover[];
  /** Where the program keeps its break, if JavaScript grows its memory. */
  readonly programBreak: ProgramBreak | undefined;
  /** Functions that only functions of the allocator call. */
  readonly helpers: readonly number[];
  /** The function that had to run before the allocator works. */
  readonly after: number | undefined;
  /** How many calls of functions were made. */
  readonly calls: number;
}

/**
 * Proves which functions of a module allocate and free. Names, exports and shapes only nominate: a
 * function counts if it behaves so in a scratch instance.
 *
 * @param module a module that the engine accepts.
 * @param given functions that the user names; they are tried like all others.
 */
export function proveAllocator(module: Module, given?: readonly AllocatorFunction[]): Proof {
  if (module.memories.length === 0) return nothing("none", "the module has no memory");
  const obstacle = obstacleOf(module);
  if (obstacle !== undefined) return nothing("undecided", obstacle);
  let scratch: Scratch;
  try {
    scratch = Scratch.open(scratchRewrite(module));
  } catch (error) {
    const isValid = WebAssembly.validate(module.bytes as Uint8Array<ArrayBuffer>);
    const why = isValid
      ? `it cannot be tried: ${(error as Error).message}`
      : "its code is not valid";
    return nothing("undecided", why);
  }
  return new Prover(scratch, given).run();
}

function nothing(outcome: Outcome, reason: string, calls = 0): Proof {
  return {
    outcome,
    reason,
    functions: [],
    pair: undefined,
    state: [],
    stateGlobals: [],
    leftovers: [],
    programBreak: undefined,
    helpers: [],
    after: undefined,
    calls,
  };
}

class Prover {
  readonly #module: Module;
  readonly #scratch: Scratch;
  readonly #graph: CallGraph;
  readonly #facts: FactTable;
  readonly #nominees: readonly Nominee[];
  readonly #search: PairSearch;

  constructor(scratch: Scratch, given: readonly AllocatorFunction[] | undefined) {
    this.#scratch = scratch;
    this.#module = scratch.rewritten.module;
    this.#graph = new CallGraph(this.#module);
    this.#facts = new FactTable(this.#module);
    this.#nominees = nomineesFind(this.#module, given);
    this.#search = new PairSearch(scratch, this.#graph, this.#facts, this.#nominees);
  }

  run(): Proof {
    const pair = this.#search.find();
    return pair ? this.#proven(pair) : this.#unproven();
  }

  #unproven(): Proof {
    const { bumps, failures } = this.#search;
    const { calls } = this.#scratch;
    const named = this.#nominees.filter((each) => each.evidence !== "shape");
    const functions = named.map((each) => this.#failed(each, failures.get(each.index)));
    const isNominated = bumps.some((each) => this.#nominees.includes(each));
    if (bumps.length > 0 && (isNominated || functions.length === 0)) {
      const text = "functions allocate, but none was found that frees their blocks";
      const own = bumps
        .slice(0, 1)
        .map((each) => ({ ...each, failure: undefined, base: true, plain: false }));
      const isKnown = (index: number) => own.some((each) => each.index === index);
      const rest = functions.filter((each) => !isKnown(each.index));
      return { ...nothing("bump", text, calls), functions: [...own, ...rest] };
    }
    if (functions.length === 0) return nothing("none", "no function allocates", calls);
    const text =
      "functions have the names of an allocator, but do not behave so when they are tried";
    return { ...nothing("undecided", text, calls), functions };
  }

  #failed(nominee: Nominee, failure = "it was not reached"): TriedFunction {
    return { ...nominee, failure, base: false, plain: false };
  }

  #proven(pair: FoundPair): Proof {
    const { battery } = this.#search;
    const state = stateFind(battery, this.#graph, this.#facts, pair.alloc, pair.free);
    const functions = this.#functions(pair, state);
    const { after } = pair;
    const { list, helpers } = leftoversFind(this.#graph, this.#facts, state, functions, after);
    const isBase = ({ index, base, self }: TriedFunction) =>
      base ||
      self !== undefined ||
      readsHeader(this.#module, index) ||
      this.#graph.calls(index).some((each) => helpers.has(each) && state.touches(each));
    return {
      outcome: "proven",
      reason: "malloc and free passed every test",
      functions: functions.map((each) => ({ ...each, base: isBase(each) })),
      pair: { alloc: pair.alloc, free: pair.free },
      state: state.ranges,
      stateGlobals: [...state.globals],
      leftovers: list.map((each) => ({ ...each, name: this.#name(each.index) })),
      programBreak: breakFind(battery, this.#graph, this.#facts, pair.alloc),
      helpers: [...helpers],
      after,
      calls: this.#scratch.calls,
    };
  }

  #functions(pair: FoundPair, state: AllocatorState): TriedFunction[] {
    const battery = new PairBattery(this.#search.battery, pair);
    const found = new Map<number, TriedFunction>();
    const isBase = (index: number) => state.touches(index);
    const add = (each: Nominee, failure: string | undefined) => {
      const { loads, stores } = this.#facts.of(each.index);
      const plain = loads.size + stores.size === 0;
      found.set(each.index, { ...each, failure, base: isBase(each.index), plain });
    };
    add(pair.alloc, undefined);
    add(pair.free, undefined);
    for (const each of this.#nominees) {
      const isOther = found.has(each.index) || each.role.action === "refuse";
      if (isOther || !isCallable(this.#module, each.index)) continue;
      const trial = takesSelf(each.role) ? this.#withSelf(each, state, battery) : each;
      add(trial, battery.test(trial));
    }
    for (const each of this.#selfForms(state, found, battery)) add(each, undefined);
    const isTried = new Set<number>();
    for (let before = -1; before < found.size; ) {
      before = found.size;
      for (const index of this.#related(state, [...found.keys()])) {
        const isKnown = found.has(index) && found.get(index)?.failure === undefined;
        if (isKnown || isTried.has(index)) continue;
        isTried.add(index);
        const passed = this.#anyRole(index, battery, isBase(index));
        if (passed) add(passed, undefined);
      }
    }
    const shapeless = [...found.values()].filter((each) => !isWrongShape(each));
    return shapeless.sort((a, b) => a.index - b.index);
  }

  /**
   * A function of Rust's dlmalloc gets the address of the state from its callers: a constant of
   * theirs that is at or just before the variables.
   */
  #withSelf(nominee: Nominee, state: AllocatorState, battery: PairBattery): Nominee {
    const callers = this.#graph.callers[nominee.index] as readonly number[];
    const constants = callers.flatMap((caller) => [...this.#facts.of(caller).constants]);
    const selves = [...new Set(constants)].filter((at) => state.isNear(at)).slice(0, SELVES_MOST);
    const found = selves.find((self) => battery.test({ ...nominee, self }) === undefined);
    return { ...nominee, self: found ?? selves[0] };
  }

  /** Functions that get the address of the state from their callers, and pass a role's tests. */
  #selfForms(
    state: AllocatorState,
    found: ReadonlyMap<number, TriedFunction>,
    battery: PairBattery,
  ): Nominee[] {
    const passed: Nominee[] = [];
    for (const [index, selves] of statesPassed(this.#facts, this.#module, state)) {
      if (found.get(index)?.failure === undefined && found.has(index)) continue;
      if (!isCallable(this.#module, index)) continue;
      const tries = [...selves].slice(0, SELVES_MOST).flatMap((self) =>
        selfRolesOf(this.#module, index).map(({ role }): Nominee => {
          return { index, name: this.#name(index), role, evidence: "state", self };
        }),
      );
      const first = tries.find((each) => battery.test(each) === undefined);
      if (first) passed.push(first);
    }
    return passed;
  }

  /** The first role whose tests a function passes. */
  #anyRole(index: number, battery: PairBattery, base: boolean): Nominee | undefined {
    const evidence: Evidence = base ? "state" : "caller";
    for (const { role } of rolesOf(this.#module, index)) {
      const nominee = { index, name: this.#name(index), role, evidence };
      if (battery.test(nominee) === undefined) return nominee;
    }
    return undefined;
  }

  /** Functions that touch the variables or are called by proven ones, and their small callers. */
  #related(state: AllocatorState, proven: readonly number[]): number[] {
    const first = this.#module.importedFunctions;
    const touching = this.#module.bodies
      .map((_, i) => first + i)
      .filter((index) => state.touches(index));
    const callees = proven.flatMap((index) => this.#graph.calls(index));
    const related = new Set([...touching, ...proven, ...callees]);
    for (const most of [WRAPPER_BYTES, OUTER_BYTES]) {
      for (const index of [...related]) {
        for (const caller of this.#graph.callers[index] as readonly number[]) {
          if (this.#graph.bytes(caller) <= most) related.add(caller);
        }
      }
    }
    return [...related].filter((index) => index >= first && isCallable(this.#module, index));
  }

  #name(index: number): string {
    return this.#names.get(index) ?? `function ${index}`;
  }

  get #names(): ReadonlyMap<number, string> {
    this.#namesKnown ??= knownNames(this.#module);
    return this.#namesKnown;
  }
  #namesKnown: ReadonlyMap<number, string> | undefined;
}

/** A shape that does not hold is not evidence of anything. */
function isWrongShape({ evidence, failure }: TriedFunction): boolean {
  return evidence === "shape" && failure !== undefined;
}
