/** The variables of an allocator: what its functions write, at addresses that their code names. */
import type { Module } from "../module/module.ts";
import type { Battery } from "./battery.ts";
import { accessesByte, type Facts, type FactTable } from "./facts.ts";
import type { CallGraph } from "./graph.ts";
import { type Trial, TrialBlocks } from "./trial.ts";

/** Words that lie closer together belong to one structure. */
const GAP_MOST = 128;
/** The first block has its header in so many bytes before it. */
const HEADER_MOST = 16;
/** The first word of a structure that is written lies at most so far behind its address. */
const BASE_BEFORE = 64;
/** The first variable that is written may have so many bytes of the state before it. */
const SELF_BEFORE = 64;
const ALLOC_DEPTH = 5;
const FREE_DEPTH = 4;
const SIZES: readonly number[] = [24, 300, 5000, 600, 40, 70000];
const BLOCKS = 36;

/** A range of addresses. */
export interface Range {
  readonly from: number;
  /** Behind the last byte. */
  readonly to: number;
}

/** How a function touches an allocator's variables. */
export interface Touch {
  /** Accesses at known addresses, and uses of globals. */
  readonly accesses: number;
  /** Constants that are the address of a variable. */
  readonly constants: number;
}

/** The variables of an allocator. */
export class AllocatorState {
  /** Addresses of bytes: a flag of the program may lie in a word of which the allocator has one. */
  readonly bytes: ReadonlySet<number>;
  /** Indices of globals. */
  readonly globals: ReadonlySet<number>;
  readonly #facts: FactTable;
  readonly #ofSources: ReadonlySet<number>;

  constructor(
    bytes: ReadonlySet<number>,
    ofSources: ReadonlySet<number>,
    globals: ReadonlySet<number>,
    facts: FactTable,
  ) {
    this.bytes = bytes;
    this.#ofSources = ofSources;
    this.globals = globals;
    this.#facts = facts;
  }

  get isEmpty(): boolean {
    return this.bytes.size === 0 && this.globals.size === 0;
  }

  /** The bytes as ranges, in ascending order. */
  get ranges(): Range[] {
    return clustersOf([...this.bytes]).map(({ from, to }) => ({ from, to: to + 1 }));
  }

  /** How a function touches the variables. */
  touch(index: number): Touch {
    const { widths, constants, globals } = this.#facts.of(index);
    let accesses = count(globals, (at) => this.globals.has(at));
    for (const [at, width] of widths) if (this.#hasAny(at, width)) accesses++;
    return { accesses, constants: count(constants, (at) => this.bytes.has(at)) };
  }

  /**
   * Whether a function touches only what code that adds pages has for itself: pages belong to the
   * caller that asks for them, so that several allocators can use it.
   */
  isOfSources(index: number): boolean {
    const isShared = (at: number) => this.bytes.has(at) && !this.#ofSources.has(at);
    return !accessesByte(this.#facts.of(index), isShared);
  }

  #hasAny(at: number, width: number): boolean {
    for (let i = 0; i < width; i++) if (this.bytes.has(at + i)) return true;
    return false;
  }

  /** Whether an address lies in the variables, or just before them, where a structure may begin. */
  isNear(at: number): boolean {
    return this.#hasAny(at - (at & 3), SELF_BEFORE + 4);
  }

  touches(index: number): boolean {
    const { accesses, constants } = this.touch(index);
    return accesses + constants > 0;
  }
}

/** Functions that are called with an address of the state first, and these addresses. */
export function statesPassed(
  facts: FactTable,
  module: Module,
  state: AllocatorState,
): Map<number, Set<number>> {
  const found = new Map<number, Set<number>>();
  for (let index = module.importedFunctions; index < module.functions.length; index++) {
    for (const [callee, values] of facts.of(index).firsts) {
      if (callee < module.importedFunctions) continue;
      const near = [...values].filter((at) => state.isNear(at));
      if (near.length > 0) found.set(callee, new Set([...(found.get(callee) ?? []), ...near]));
    }
  }
  return found;
}

function count(values: ReadonlySet<number>, isCounted: (value: number) => boolean): number {
  let total = 0;
  for (const value of values) if (isCounted(value)) total++;
  return total;
}

/** Finds the variables of a malloc, and of its free if that is known. */
export function stateFind(
  battery: Battery,
  graph: CallGraph,
  facts: FactTable,
  alloc: Trial,
  free?: Trial,
): AllocatorState {
  const { words, bytes: changed, globals } = changesOf(battery, alloc, free);
  const own = [alloc.index, free?.index];
  const functions = [
    ...new Set([
      ...graph.closure(alloc.index, ALLOC_DEPTH),
      ...(free ? graph.closure(free.index, FREE_DEPTH) : []),
    ]),
  ].filter((index) => own.includes(index) || namesAny(facts.of(index), changed, globals));
  const isSource = (index: number) => graph.distance[index] === 0 && !own.includes(index);
  const named = new NamedAddresses(functions, facts, isSource);
  const clusters = clustersOf(words).flatMap((cluster) => named.hull(cluster) ?? []);
  const isIn = (at: number) => clusters.some(({ from, to }) => at >= from && at <= to);
  const all = [...words, ...named.aligned].filter((at) => isIn(at) && !named.isStoredOnly(at));
  const bytes = all.flatMap((at) => named.bytesOf(at, changed));
  const ownGlobals = globals.filter((index) => named.globals.has(index));
  return new AllocatorState(new Set(bytes), named.ofSources, new Set(ownGlobals), facts);
}

/** Whether a function names something that has changed; what it calls to report errors does not. */
function namesAny(
  facts: Facts,
  changed: ReadonlySet<number>,
  changedGlobals: readonly number[],
): boolean {
  const { constants, globals } = facts;
  if (accessesByte(facts, (at) => changed.has(at))) return true;
  for (const at of constants) if (isBefore(at, changed)) return true;
  return changedGlobals.some((index) => globals.has(index));
}

/** Whether a constant may be the address of a structure that has changed. */
function isBefore(at: number, changed: ReadonlySet<number>): boolean {
  for (let i = 0; i < BASE_BEFORE; i++) if (changed.has(at + i)) return true;
  return false;
}

/** What allocating and freeing changes below the lowest block. */
function changesOf(battery: Battery, alloc: Trial, free: Trial | undefined) {
  battery.scratch.restore();
  const blocks = new TrialBlocks(battery.scratch);
  for (let i = 0; i < BLOCKS; i++) {
    blocks.allocate(alloc, { size: SIZES[i % SIZES.length] as number });
  }
  const lowest = Math.min(battery.scratch.size, ...blocks.all.map((each) => each.address));
  if (free) for (const block of blocks.all.filter((_, i) => i % 2)) battery.release(free, block);
  return battery.scratch.changes(Math.max(0, lowest - HEADER_MOST) & ~3);
}

/** What the code of some functions names; functions that only add pages to the memory apart. */
class NamedAddresses {
  readonly globals = new Set<number>();
  readonly #loads = new Set<number>();
  readonly #stores = new Set<number>();
  readonly #constants = new Set<number>();
  /** Bytes that are accessed at known addresses. */
  readonly #accessed = new Set<number>();
  /** Bytes that functions which add pages access. */
  readonly #sources = new Set<number>();

  constructor(functions: Iterable<number>, facts: FactTable, isSource: (index: number) => boolean) {
    for (const index of functions) {
      const { loads, stores, widths, constants, globals } = facts.of(index);
      const accessed = isSource(index) ? this.#sources : this.#accessed;
      for (const [at, width] of widths) for (let i = 0; i < width; i++) accessed.add(at + i);
      for (const at of loads) this.#loads.add(at);
      for (const at of stores) this.#stores.add(at);
      for (const at of constants) this.#constants.add(at);
      for (const at of globals) this.globals.add(at);
    }
  }

  /** The bytes of a word that belong to the allocator: those that are named, or have changed. */
  bytesOf(word: number, changed: ReadonlySet<number>): number[] {
    const bytes = [word, word + 1, word + 2, word + 3];
    const named = bytes.filter((at) => this.#accessed.has(at) || this.#sources.has(at));
    if (named.length > 0) return named;
    return this.#constants.has(word) ? bytes : bytes.filter((at) => changed.has(at));
  }

  /** Bytes that only functions which add pages access. */
  get ofSources(): Set<number> {
    return new Set([...this.#sources].filter((at) => !this.#accessed.has(at)));
  }

  get #all(): number[] {
    return [...this.#loads, ...this.#stores, ...this.#constants];
  }

  get aligned(): number[] {
    return this.#all.filter((at) => (at & 3) === 0);
  }

  /**
   * The part of a cluster between its first and its last named address; none if none is named. If a
   * constant is the address of a structure, all that was written behind it belongs to that.
   */
  hull({ from, to }: Range): Range | undefined {
    const isInside = (at: number) => at >= from - BASE_BEFORE && at < to + 4;
    const inside = this.#all.filter(isInside);
    if (inside.length === 0) return undefined;
    const isStructure = [...this.#constants].some(isInside);
    const last = isStructure ? to : Math.max(...inside);
    return { from: Math.min(...inside) & ~3, to: last & ~3 };
  }

  /** A word that is stored and never loaded, as errno is, does not belong to the allocator. */
  isStoredOnly(at: number): boolean {
    return this.#stores.has(at) && !this.#loads.has(at);
  }
}

/** Groups of addresses; `to` is the last address of each. */
function clustersOf(words: readonly number[]): Range[] {
  const clusters: { from: number; to: number }[] = [];
  for (const at of [...words].sort((a, b) => a - b)) {
    const last = clusters.at(-1);
    if (last && at - last.to <= GAP_MOST) last.to = at;
    else clusters.push({ from: at, to: at });
  }
  return clusters;
}
