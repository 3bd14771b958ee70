/** The variables of an allocator: what its functions write, at addresses that their code names. */
import type { Battery } from "./battery.ts";
import type { FactTable } from "./facts.ts";
import type { CallGraph } from "./graph.ts";
import { type Trial, TrialBlocks } from "./trial.ts";

/** Words that lie closer together belong to one structure. */
const GAP_MOST = 128;
/** The first block has its header in so many bytes before it. */
const HEADER_MOST = 16;
/** The first word of a structure that is written lies at most so far behind its address. */
const BASE_BEFORE = 64;
const ALLOC_DEPTH = 3;
const FREE_DEPTH = 2;
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
  /** Addresses of words of 32 bits. */
  readonly words: ReadonlySet<number>;
  /** Indices of globals. */
  readonly globals: ReadonlySet<number>;
  readonly #facts: FactTable;

  constructor(words: ReadonlySet<number>, globals: ReadonlySet<number>, facts: FactTable) {
    this.words = words;
    this.globals = globals;
    this.#facts = facts;
  }

  get isEmpty(): boolean {
    return this.words.size === 0 && this.globals.size === 0;
  }

  /** The words as ranges, in ascending order. */
  get ranges(): Range[] {
    return clustersOf([...this.words]).map(({ from, to }) => ({ from, to: to + 4 }));
  }

  /** How a function touches the variables. */
  touch(index: number): Touch {
    const { loads, stores, constants, globals } = this.#facts.of(index);
    const isWord = (at: number) => this.words.has(at & ~3);
    const addresses = new Set([...loads, ...stores]);
    const accesses = count(addresses, isWord) + count(globals, (at) => this.globals.has(at));
    return { accesses, constants: count(constants, isWord) };
  }

  touches(index: number): boolean {
    const { accesses, constants } = this.touch(index);
    return accesses + constants > 0;
  }
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
  const { words, globals } = changesOf(battery, alloc, free);
  const functions = new Set([
    ...graph.closure(alloc.index, ALLOC_DEPTH),
    ...(free ? graph.closure(free.index, FREE_DEPTH) : []),
  ]);
  const named = new NamedAddresses(functions, facts);
  const clusters = clustersOf(words).flatMap((cluster) => named.hull(cluster) ?? []);
  const isIn = (at: number) => clusters.some(({ from, to }) => at >= from && at <= to);
  const own = [...words, ...named.aligned].filter((at) => isIn(at) && !named.isStoredOnly(at));
  const ownGlobals = globals.filter((index) => named.globals.has(index));
  return new AllocatorState(new Set(own), new Set(ownGlobals), facts);
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

/** What the code of some functions names. */
class NamedAddresses {
  readonly globals = new Set<number>();
  readonly #loads = new Set<number>();
  readonly #stores = new Set<number>();
  readonly #constants = new Set<number>();

  constructor(functions: Iterable<number>, facts: FactTable) {
    for (const index of functions) {
      const { loads, stores, constants, globals } = facts.of(index);
      for (const at of loads) this.#loads.add(at);
      for (const at of stores) this.#stores.add(at);
      for (const at of constants) this.#constants.add(at);
      for (const at of globals) this.globals.add(at);
    }
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
