/**
 * What may be done with the allocator of a module: the one place where `override`, `check`, `run`
 * and `inspect` ask. Functions are proven by running them; then another allocator is put beneath
 * them, and they are run again.
 */
import { flagOption, type OptionCheck } from "../../common/option-table.ts";
import { type FindOptions, findAllocator, findCheck } from "../allocators/finder.ts";
import type { AllocatorFunction, Role, Source } from "../allocators/roles.ts";
import type { Module } from "../module/module.ts";
import { functionNames } from "../module/names.ts";
import { isReaderOnly, type Leftover } from "../proof/leftovers.ts";
import { type Proof, proveAllocator, type TriedFunction } from "../proof/prove.ts";
import type { HeaderForm } from "./headers.ts";
import { forwardsTo, liveFind } from "./live.ts";
import { type SimulatedFailure, simulate } from "./simulate.ts";
import { trustedFind } from "./trusted.ts";

/** How often functions are added to those that are replaced, before it is given up. */
const ROUNDS = 4;

/** How the allocator of a module is decided about. */
export interface DecideOptions extends FindOptions {
  /**
   * Takes the functions that the option `functions` names, or that have an allocator's names or
   * shapes, for what they seem to be, without a proof. Default: false.
   */
  readonly trust?: boolean | undefined;
  /** Replaces the allocator although parts of it stay in use. Default: false. */
  readonly acceptLeftovers?: boolean | undefined;
}

/** The checks of these options. */
export const decideChecks: readonly OptionCheck[] = [
  findCheck,
  flagOption("trust"),
  flagOption("acceptLeftovers"),
];

/**
 * What can be done: `replace` the allocator is proven and can be another one, `watch` it is proven,
 * and parts of it are elsewhere in the program, `none` there is nothing to replace, `undecided` it
 * is not known.
 */
export type Verdict = "replace" | "watch" | "none" | "undecided";

/** What was decided about the allocator of a module. */
export interface Decision {
  readonly verdict: Verdict;
  /** Why, and what that means. */
  readonly because: string;
  /** What was proven; undefined if the user's word was taken. */
  readonly proof: Proof | undefined;
  /** The allocator's functions, by their indices. */
  readonly functions: readonly AllocatorFunction[];
  /** Those of them that keep their bodies, since they only call others. */
  readonly kept: ReadonlySet<number>;
  /** The headers that blocks need; undefined if nothing looks at them. */
  readonly header: HeaderForm | undefined;
}

/**
 * Decides what may be done with the allocator of a module.
 *
 * @param module a module that the engine accepts.
 * @throws RangeError if a function that the options name does not exist or has another type.
 */
export function decideAllocator(module: Module, options: DecideOptions = {}): Decision {
  if (options.trust) return trustedDecide(module, options);
  const given = isGiven(options) ? findAllocator(module, options) : undefined;
  return new Decider(module, proveAllocator(module, given), options).run();
}

function isGiven({ functions }: FindOptions): boolean {
  return functions !== undefined && Object.keys(functions).length > 0;
}

function trustedDecide(module: Module, options: DecideOptions): Decision {
  const { functions, kept, leftovers } = trustedFind(module, options);
  const rest = { proof: undefined, functions, kept, header: undefined };
  if (functions.length === 0) {
    return { ...rest, verdict: "none", because: "no function has the name or looks of one" };
  }
  if (leftovers !== undefined && !options.acceptLeftovers) {
    return { ...rest, verdict: "watch", because: `parts of it stay in use: ${leftovers}` };
  }
  return { ...rest, verdict: "replace", because: "its functions are what you say" };
}

class Decider {
  readonly #module: Module;
  readonly #proof: Proof;
  readonly #accepts: boolean;
  readonly #proven: readonly TriedFunction[];
  readonly #leftovers: readonly Leftover[];
  readonly #functions: readonly AllocatorFunction[];

  constructor(module: Module, proof: Proof, options: DecideOptions) {
    this.#module = module;
    this.#proof = proof;
    this.#accepts = options.acceptLeftovers === true;
    this.#proven = proof.functions.filter((each) => each.failure === undefined);
    this.#leftovers = proof.leftovers.filter((each) => !each.initialiser);
    this.#functions = this.#functionsFind();
  }

  run(): Decision {
    const { outcome, reason } = this.#proof;
    if (outcome === "undecided") return this.#decision("undecided", reason);
    if (outcome !== "proven") return this.#decision("none", reason);
    const obstacle = this.#obstacle();
    return obstacle === undefined ? this.#simulated() : this.#decision("watch", obstacle);
  }

  /** Why the allocator cannot be replaced, by what is known before another one is tried. */
  #obstacle(): string | undefined {
    const live = liveFind(this.#module, new Set());
    const isFailed = ({ failure, index }: TriedFunction) => failure !== undefined && live[index];
    const failed = this.#proof.functions.filter(isFailed);
    if (failed.length > 0) {
      return `malloc and free are proven, but not ${failed.map((each) => each.name).join(", ")}`;
    }
    if (this.#proof.state.length === 0 && this.#proof.stateGlobals.length === 0) {
      return "malloc and free are proven, but where their state is was not found";
    }
    const left = this.#leftovers.filter((each) => !isReaderOnly(each));
    if (left.length === 0 || this.#accepts) return undefined;
    const many = left.length === 1 ? "1 other function is" : `${left.length} other functions are`;
    return `it is proven, but ${many} part of it`;
  }

  /** Puts another allocator beneath; wrappers that then fail are replaced as well. */
  #simulated(): Decision {
    const replaced = new Set(this.#bases());
    const rust = this.#isRust();
    let more = false;
    for (let round = 0; round < ROUNDS; round++) {
      const found = this.#simulate(replaced, { word: "trial", rust });
      if (typeof found === "string") return this.#decision("watch", found);
      const fresh = found.filter(({ index }) => !replaced.has(index));
      if (fresh.length === 0) return this.#replace(replaced, found[0], more && rust);
      more = true;
      for (const { index } of fresh) replaced.add(index);
    }
    return this.#decision("watch", "it is proven, but too much of the program knows how it works");
  }

  #simulate(
    replaced: ReadonlySet<number>,
    header: HeaderForm,
  ): readonly SimulatedFailure[] | string {
    const functions = this.#functions.filter((each) => replaced.has(each.index));
    try {
      const failures = simulate(this.#module, this.#proof, functions, header);
      return failures ?? "it is proven, but another allocator does not begin in this module";
    } catch (error) {
      return `it is proven, but the module cannot be tried without it: ${(error as Error).message}`;
    }
  }

  /** @param failure of a function that has the other allocator's code. */
  #replace(
    replaced: ReadonlySet<number>,
    failure: SimulatedFailure | undefined,
    asks: boolean,
  ): Decision {
    if (failure) {
      const name = this.#proven.find((each) => each.index === failure.index)?.name;
      const because = `it is proven, but with another allocator ${name} fails: ${failure.failure}`;
      return this.#decision("watch", because);
    }
    const reads = asks || this.#leftovers.some((each) => each.readsHeader);
    const isKnown = this.#proven.every(({ role }) => /^(?:malloc|new|rust)/.test(role.family));
    if (reads && !isKnown) {
      return this.#decision("watch", "it is proven, but other code looks at its blocks' headers");
    }
    const rust = this.#isRust();
    const header: HeaderForm | undefined = reads ? { word: "dlmalloc", rust } : undefined;
    const because = reads
      ? "it is proven, and what else looks at its blocks finds the headers that it knows"
      : "it is proven, and nothing else touches its state";
    const all = this.#functions.map((each) => each.index);
    const kept = new Set(all.filter((index) => !replaced.has(index)));
    return { ...this.#decision("replace", because), kept, header };
  }

  /**
   * Functions that hold the state; C's and Rust's by their names, if no variable is lost with their
   * code; and of those with such names, that which only passes its parameter to another one. What
   * has another name is the program's, even if it does no more.
   */
  #bases(): number[] {
    const isNamed = ({ evidence, plain, role }: TriedFunction) =>
      plain && ["name", "given"].includes(evidence) && /^(?:malloc|rust)$/.test(role.family);
    const bases = new Map(
      this.#proven
        .filter((each) => each.base || isNamed(each))
        .map((each) => [each.index, `${each.role.params}`]),
    );
    for (let before = -1; before < bases.size; ) {
      before = bases.size;
      for (const { index, role, evidence } of this.#proven) {
        if (!["name", "export", "given"].includes(evidence)) continue;
        const callee = role.params.length === 1 ? forwardsTo(this.#module, index) : undefined;
        if (callee !== undefined && bases.get(callee) === `${role.params}`) {
          bases.set(index, `${role.params}`);
        }
      }
    }
    const refusing = this.#functions.filter((each) => each.role.action === "refuse");
    return [...bases.keys(), ...refusing.map((each) => each.index)];
  }

  #isRust(): boolean {
    const has = (family: RegExp) => this.#proven.some((each) => family.test(each.role.family));
    return has(/^rust$/) && !has(/^new/);
  }

  #decision(verdict: Verdict, because: string): Decision {
    const functions = this.#functions;
    return { verdict, because, proof: this.#proof, functions, kept: new Set(), header: undefined };
  }

  /** What was proven; and Zig's functions that may always refuse, which cannot be tested. */
  #functionsFind(): AllocatorFunction[] {
    const isRuntime = this.#proof.pair?.alloc.role.family === "assemblyscript";
    const proven = this.#proven.map(({ index, name, role: known, evidence }): AllocatorFunction => {
      // Other functions of AssemblyScript's runtime have its headers before their blocks, too.
      const role: Role = isRuntime ? { ...known, family: "assemblyscript" } : known;
      return { index, name, role, source: SOURCES[evidence] ?? "proof", sure: "certain" };
    });
    if (!proven.some(({ role }) => role.family === "zig")) return proven;
    const known = findAllocator(this.#module);
    return [...proven, ...known.filter(({ role }) => role.action === "refuse")];
  }
}

/** Where evidence is what `findAllocator` has too. */
const SOURCES: Readonly<Partial<Record<string, Source>>> = {
  given: "given",
  name: "name",
  export: "export",
  shape: "shape",
};

/** Garbage collectors that own all pages of the memory, by names of their functions. */
const COLLECTORS: readonly (readonly [RegExp, string])[] = [
  [/^runtime\.(?:gcMarkReachable|growHeap|initHeap)$/, "TinyGo"],
  [/^runtime\.mallocgc$/, "Go"],
];

/** The language whose garbage collector owns the memory of a module; undefined if there is none. */
export function collectorOf(module: Module): string | undefined {
  const names = [...functionNames(module).values()];
  return COLLECTORS.find(([pattern]) => names.some((name) => pattern.test(name)))?.[1];
}
