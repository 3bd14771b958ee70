/** The pages of a simulated memory, each with a state: see simulated.ts. */
import type { MemorySource, PageOperations } from "./source.ts";

/** An operation on the pages of a simulated memory. */
export type PageCall = "commit" | "decommit" | "reset" | "protect" | "unprotect";

/** The byte in pages that must not be accessed: not committed, or protected. */
const FORBIDDEN = 0xdc;
/** The byte in pages that were reset. */
const RESET = 0x5e;

/** States of a page. */
const USABLE = 0;
/** Not usable before a commit, and filled with FORBIDDEN. */
const UNCOMMITTED = 1;
/** Zero and not in memory, until it is written. */
const UNTOUCHED = 2;

const FAILS_NEVER = 0;

/** The pages of a `simulatedMemory`. */
export class SimulatedPages implements PageOperations {
  /** Bytes of a page: a power of two. */
  readonly pageBytes: number;
  /** Whether a range must be committed before it is accessed. */
  readonly needsCommit: boolean;
  /** Number of calls of each operation. */
  readonly calls: Record<PageCall, number> = {
    commit: 0,
    decommit: 0,
    reset: 0,
    protect: 0,
    unprotect: 0,
  };
  readonly #source: MemorySource;
  /** For each operation, the calls that are left until one fails. */
  readonly #failing = new Map<PageCall, number>();
  readonly #protected = new Set<number>();
  readonly #found: string[] = [];
  #states = new Uint8Array(0);

  /** Use `simulatedMemory`. */
  constructor(source: MemorySource, pageBytes: number, needsCommit: boolean) {
    this.pageBytes = pageBytes;
    this.needsCommit = needsCommit;
    this.#source = source;
    this.add(source.start, source.buffer.byteLength - source.start);
  }

  /**
   * Simulates the pages of memory that has just been added.
   *
   * @internal
   */
  add(address: number, bytes: number): void {
    if (bytes <= 0) return;
    this.#addStates();
    const fresh = this.needsCommit ? UNCOMMITTED : UNTOUCHED;
    for (const page of this.#inside(address, bytes)) this.#become(page, fresh);
  }

  /** Makes a range usable; what was decommitted is zero. */
  commit(address: number, bytes: number): boolean {
    if (this.#fails("commit")) return false;
    for (const page of this.#around(address, bytes)) {
      this.#inspect(page);
      if (this.#states[page] === UNCOMMITTED) this.#bytes(page).fill(0);
      this.#states[page] = USABLE;
    }
    return true;
  }

  /** Gives the memory of a range back; without `needsCommit` it is zero at once. */
  decommit(address: number, bytes: number): boolean {
    if (this.#fails("decommit")) return false;
    const state = this.needsCommit ? UNCOMMITTED : UNTOUCHED;
    for (const page of this.#inside(address, bytes)) {
      this.#inspect(page);
      this.#protected.delete(page);
      this.#become(page, state);
    }
    return true;
  }

  /** Fills a range, whose contents do not matter any more, with other bytes. */
  reset(address: number, bytes: number): boolean {
    if (this.#fails("reset")) return false;
    for (const page of this.#inside(address, bytes)) {
      this.#inspect(page);
      if (this.#states[page] === USABLE && !this.#protected.has(page)) {
        this.#bytes(page).fill(RESET);
      }
    }
    return true;
  }

  /** Forbids accesses to a range until `unprotect`; its bytes are lost. */
  protect(address: number, bytes: number): boolean {
    if (this.#fails("protect")) return false;
    for (const page of this.#inside(address, bytes)) {
      this.#inspect(page);
      this.#protected.add(page);
      this.#bytes(page).fill(FORBIDDEN);
    }
    return true;
  }

  /** Allows accesses to a range that was protected; it is zero. */
  unprotect(address: number, bytes: number): boolean {
    if (this.#fails("unprotect")) return false;
    for (const page of this.#inside(address, bytes)) {
      this.#inspect(page);
      if (this.#protected.delete(page)) this.#become(page, this.#states[page] as number);
    }
    return true;
  }

  /** Bytes of a range that are in memory: usable and touched. */
  resident(address: number, bytes: number): number {
    let count = 0;
    for (const page of this.#inside(address, bytes)) {
      this.#inspect(page);
      if (this.#states[page] === USABLE) count += 1;
    }
    return count * this.pageBytes;
  }

  /** Bytes of all pages that are usable and, without `needsCommit`, were touched. */
  committedBytes(): number {
    const { start } = this.#source;
    return this.resident(start, this.#states.length * this.pageBytes - start);
  }

  /** Bytes of all pages that are protected. */
  get protectedBytes(): number {
    return this.#protected.size * this.pageBytes;
  }

  /** Makes the n-th call of an operation from now on fail, from 1; 0: no call fails. */
  failAt(operation: PageCall, call: number): void {
    this.#failing.set(operation, call);
  }

  /** The accesses to forbidden pages since the last check, each as a sentence. */
  check(): string[] {
    for (const page of this.#states.keys()) this.#inspect(page);
    return this.#found.splice(0);
  }

  #fails(operation: PageCall): boolean {
    this.calls[operation] += 1;
    const left = this.#failing.get(operation) ?? FAILS_NEVER;
    if (left === FAILS_NEVER) return false;
    this.#failing.set(operation, left - 1);
    return left === 1;
  }

  /** Makes states for pages that were added to the memory; they are usable. */
  #addStates(): void {
    const count = Math.floor(this.#source.buffer.byteLength / this.pageBytes);
    if (count <= this.#states.length) return;
    const states = new Uint8Array(count);
    states.set(this.#states);
    this.#states = states;
  }

  #bytes(page: number): Uint8Array {
    return new Uint8Array(this.#source.buffer, page * this.pageBytes, this.pageBytes);
  }

  /** Whole pages inside a range. */
  *#inside(address: number, bytes: number): Generator<number> {
    this.#addStates();
    const end = Math.floor((address + bytes) / this.pageBytes);
    for (let page = Math.ceil(address / this.pageBytes); page < end; page++) yield page;
  }

  /** All pages that a range touches. */
  *#around(address: number, bytes: number): Generator<number> {
    if (bytes === 0) return;
    const { pageBytes } = this;
    const first = Math.floor(address / pageBytes) * pageBytes;
    const end = Math.ceil((address + bytes) / pageBytes) * pageBytes;
    yield* this.#inside(first, end - first);
  }

  #become(page: number, state: number): void {
    this.#states[page] = state;
    this.#bytes(page).fill(state === UNCOMMITTED ? FORBIDDEN : 0);
  }

  /** Finds what was done to a page since the last call. */
  #inspect(page: number): void {
    if (this.#protected.has(page)) {
      if (!this.#holds(page, FORBIDDEN)) this.#record(page, "protected");
    } else if (this.#states[page] === UNCOMMITTED) {
      if (!this.#holds(page, FORBIDDEN)) this.#record(page, "not committed");
    } else if (this.#states[page] === UNTOUCHED && !this.#holds(page, 0)) {
      this.#states[page] = USABLE;
    }
  }

  #holds(page: number, byte: number): boolean {
    const { buffer } = this.#source;
    const words = new Uint32Array(buffer, page * this.pageBytes, this.pageBytes / 4);
    const word = (byte * 0x01010101) >>> 0;
    for (let i = 0; i < words.length; i++) if (words[i] !== word) return false;
    return true;
  }

  #record(page: number, state: string): void {
    const at = (page * this.pageBytes).toString(16);
    this.#found.push(`the page at 0x${at} was written to while it was ${state}`);
    this.#bytes(page).fill(FORBIDDEN);
  }
}
