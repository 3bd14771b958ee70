/** What regions did, by label: a tree that stays small however many regions come and go. */
import { Counter } from "../pool/counter.ts";

/** All regions of one label that were entered within the same regions. */
export interface ScopeProfile {
  readonly label: string;
  /** How many regions there were. */
  readonly regions: number;
  /** How many of them are open now. */
  readonly open: number;
  readonly allocations: number;
  /** Blocks that were freed by hand. */
  readonly frees: number;
  /** Blocks that the end of a region freed. */
  readonly dropped: number;
  /** Bytes that were asked for, ever. */
  readonly total: number;
  /** Bytes in use now. */
  readonly bytes: number;
  /** The most bytes that one region had in use. */
  readonly peak: number;
  /** Regions that were entered within these. */
  readonly inner: readonly ScopeProfile[];
}

/** The books of one region. */
export class Books extends Counter {
  /** Bytes of all blocks that were freed by hand. */
  freed = 0;

  override put(size: number): void {
    super.put(size);
    this.freed += size;
  }
}

/** The books of all regions of a label; ended regions are added up. */
export class Scope {
  readonly label: string;
  readonly #inner = new Map<string, Scope>();
  readonly #open = new Set<Books>();
  #ended = 0;
  #allocations = 0;
  #frees = 0;
  #dropped = 0;
  #total = 0;
  #peak = 0;

  constructor(label: string) {
    this.label = label;
  }

  innerOf(label: string): Scope {
    const known = this.#inner.get(label);
    if (known) return known;
    const scope = new Scope(label);
    this.#inner.set(label, scope);
    return scope;
  }

  begin(counter: Books): void {
    this.#open.add(counter);
  }

  end(counter: Books): void {
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
    const sum = (from: number, of: (counter: Books) => number) =>
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
 * A profile as text: one line a label, inner ones two columns further right.
 *
 * @example
 * console.log(formatProfile(getGroundRegion().profile()));
 */
export function formatProfile(profile: ScopeProfile): string {
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
