/** What regions did, by label: a tree that stays small however many regions there were. */
import { checkMembers } from "../../common/kinds.ts";
import { Counter } from "../pool/counter.ts";

/** The sums over all regions of one label that were entered within the same regions. */
export interface ScopeProfile {
  /** The label of the regions. */
  readonly label: string;
  /** Number of regions, open and ended. */
  readonly regions: number;
  /** Number of regions that are open now. */
  readonly open: number;
  /** Number of blocks that were allocated. */
  readonly allocations: number;
  /** Number of blocks that the program freed. */
  readonly frees: number;
  /** Number of blocks that the end of a region freed. */
  readonly dropped: number;
  /** Bytes of all blocks that were allocated, as they were asked for. */
  readonly total: number;
  /** Bytes of the blocks that are in use now. */
  readonly bytes: number;
  /** The most bytes that a single region had in use. */
  readonly peak: number;
  /** The regions that were entered within these, by label. */
  readonly inner: readonly ScopeProfile[];
}

/** What one region counts. */
export class RegionCounter extends Counter {
  /** Bytes of all blocks that the program freed. */
  freed = 0;

  override put(size: number): void {
    super.put(size);
    this.freed += size;
  }
}

/** The most labels of a program, at all places together, that have sums of their own. */
export const LABELS_LIMIT = 2048;
/** Labels that give up their sums first are added up under this one. */
const OTHERS = "(others)";
/** The most labels within "(others)"; more of them lose their names. */
const OTHERS_LIMIT = 64;

/** The sums of all regions of a label: those that ended as numbers, the open ones as counters. */
export class Scope {
  readonly label: string;
  readonly #outer: Scope | undefined;
  /** Of the whole tree: how many scopes there are. */
  readonly #tree: { count: number };
  /** The oldest first. */
  readonly #inner = new Map<string, Scope>();
  readonly #open = new Set<RegionCounter>();
  /** Has been entered again since it was last the oldest. */
  #isRecent = false;
  #ended = 0;
  #allocations = 0;
  #frees = 0;
  #dropped = 0;
  #total = 0;
  #peak = 0;

  constructor(label: string, outer?: Scope) {
    this.label = label;
    this.#outer = outer;
    this.#tree = outer ? outer.#tree : { count: 0 };
    this.#tree.count += 1;
  }

  innerOf(label: string): Scope {
    const known = this.#inner.get(label);
    if (!known) return this.#add(label);
    known.#isRecent = true;
    return known;
  }

  /** Beyond the limit, a scope that was not entered for long gives its place up. */
  #add(label: string): Scope {
    const isFull = this.#tree.count >= LABELS_LIMIT && label !== OTHERS;
    if (isFull && !this.#mergeOldest()) return this.innerOf(OTHERS);
    const scope = new Scope(label, this);
    this.#inner.set(label, scope);
    return scope;
  }

  #mergeOldest(): boolean {
    const oldest = this.#oldest();
    if (!oldest) return this.#outer ? this.#outer.#mergeOldest() : false;
    this.#inner.delete(oldest.label);
    this.#tree.count -= 1;
    this.innerOf(OTHERS).#absorb(oldest);
    return true;
  }

  /** The oldest scope within that has no open region and was not entered again. */
  #oldest(): Scope | undefined {
    for (let left = 2 * this.#inner.size; left > 0; left--) {
      const [first] = this.#inner.values();
      if (!first) return undefined;
      if (first.label !== OTHERS && first.#open.size === 0 && !first.#isRecent) return first;
      first.#isRecent = false;
      this.#inner.delete(first.label);
      this.#inner.set(first.label, first);
    }
    return undefined;
  }

  /** Adds the sums of a scope that is not in the tree any more. */
  #absorb(gone: Scope): void {
    this.#ended += gone.#ended;
    this.#allocations += gone.#allocations;
    this.#frees += gone.#frees;
    this.#dropped += gone.#dropped;
    this.#total += gone.#total;
    this.#peak = Math.max(this.#peak, gone.#peak);
    this.#tree.count -= gone.#inner.size;
    for (const [label, scope] of gone.#inner) {
      const isKnown = this.#inner.has(label) || this.#inner.size < OTHERS_LIMIT;
      this.innerOf(isKnown ? label : OTHERS).#absorb(scope);
    }
  }

  begin(counter: RegionCounter): void {
    this.#open.add(counter);
  }

  end(counter: RegionCounter): void {
    this.#open.delete(counter);
    this.#ended += 1;
    this.#allocations += counter.allocations;
    this.#frees += counter.frees;
    this.#dropped += counter.allocations - counter.frees;
    this.#total += counter.freed + counter.bytes;
    this.#peak = Math.max(this.#peak, counter.peak);
  }

  profile(): ScopeProfile {
    const open = [...this.#open];
    const sum = (from: number, of: (counter: RegionCounter) => number) =>
      open.reduce((all, counter) => all + of(counter), from);
    return {
      label: this.label,
      regions: this.#ended + open.length,
      open: open.length,
      allocations: sum(this.#allocations, (counter) => counter.allocations),
      frees: sum(this.#frees, (counter) => counter.frees),
      dropped: this.#dropped,
      total: sum(this.#total, ({ freed, bytes }) => freed + bytes),
      bytes: sum(0, (counter) => counter.bytes),
      peak: open.reduce((most, counter) => Math.max(most, counter.peak), this.#peak),
      inner: [...this.#inner.values()].map((scope) => scope.profile()),
    };
  }
}

/**
 * A profile as text: a line for each label, inner ones indented by two more columns.
 *
 * @example
 * console.log(formatProfile(getGroundRegion().profile()));
 */
export function formatProfile(profile: ScopeProfile): string {
  checkMembers("profile", "what profile() of a region returns", profile, "label", "inner");
  return linesOf(profile, "").join("\n");
}

function linesOf(profile: ScopeProfile, indent: string): string[] {
  const inner = profile.inner.flatMap((one) => linesOf(one, `${indent}  `));
  return [indent + sentence(profile), ...inner];
}

function sentence(profile: ScopeProfile): string {
  const { label, regions, allocations, frees, dropped, bytes, peak } = profile;
  const name = regions === 1 ? label : `${label} ×${regions}`;
  const ends = `${frees} freed, ${dropped} dropped`;
  return `${name}: ${allocations} allocated, ${ends}, ${bytes} bytes in use, peak ${peak}`;
}
