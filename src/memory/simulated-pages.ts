/** The pages of a simulated memory, each with its state: see simulated.ts. */
import type { MemorySource, PageOperations } from "./source.ts";

export type PageCall = "commit" | "decommit" | "reset" | "protect" | "unprotect";

/** What stands in pages that are not committed or are protected, and in those that were reset. */
const FORBIDDEN = 0xdc;
const RESET = 0x5e;

/** States of a page. */
const USABLE = 0;
/** Usable once it was committed; scribbled over. */
const UNCOMMITTED = 1;
/** Zero and not in memory, until somebody writes to it. */
const UNTOUCHED = 2;

const FAILS_NEVER = 0;

export class SimulatedPages implements PageOperations {
  readonly pageBytes: number;
  readonly needsCommit: boolean;
  readonly calls: Record<PageCall, number> = {
    commit: 0,
    decommit: 0,
    reset: 0,
    protect: 0,
    unprotect: 0,
  };
  readonly #source: MemorySource;
  /** Calls left until one fails. */
  readonly #failing = new Map<PageCall, number>();
  readonly #protected = new Set<number>();
  readonly #found: string[] = [];
  #states = new Uint8Array(0);

  constructor(source: MemorySource, pageBytes: number, needsCommit: boolean) {
    this.pageBytes = pageBytes;
    this.needsCommit = needsCommit;
    this.#source = source;
    this.add(source.start, source.buffer.byteLength - source.start);
  }

  /** Memory that is new: from now on its pages are simulated. */
  add(address: number, bytes: number): void {
    if (bytes <= 0) return;
    this.#reach();
    const fresh = this.needsCommit ? UNCOMMITTED : UNTOUCHED;
    for (const page of this.#inside(address, bytes)) this.#become(page, fresh);
  }

  commit(address: number, bytes: number): boolean {
    if (this.#fails("commit")) return false;
    for (const page of this.#around(address, bytes)) {
      this.#look(page);
      if (this.#states[page] === UNCOMMITTED) this.#bytes(page).fill(0);
      this.#states[page] = USABLE;
    }
    return true;
  }

  decommit(address: number, bytes: number): boolean {
    if (this.#fails("decommit")) return false;
    const state = this.needsCommit ? UNCOMMITTED : UNTOUCHED;
    for (const page of this.#inside(address, bytes)) {
      this.#look(page);
      this.#protected.delete(page);
      this.#become(page, state);
    }
    return true;
  }

  reset(address: number, bytes: number): boolean {
    if (this.#fails("reset")) return false;
    for (const page of this.#inside(address, bytes)) {
      this.#look(page);
      if (this.#states[page] === USABLE && !this.#protected.has(page)) {
        this.#bytes(page).fill(RESET);
      }
    }
    return true;
  }

  protect(address: number, bytes: number): boolean {
    if (this.#fails("protect")) return false;
    for (const page of this.#inside(address, bytes)) {
      this.#look(page);
      this.#protected.add(page);
      this.#bytes(page).fill(FORBIDDEN);
    }
    return true;
  }

  unprotect(address: number, bytes: number): boolean {
    if (this.#fails("unprotect")) return false;
    for (const page of this.#inside(address, bytes)) {
      this.#look(page);
      if (this.#protected.delete(page)) this.#become(page, this.#states[page] as number);
    }
    return true;
  }

  resident(address: number, bytes: number): number {
    let count = 0;
    for (const page of this.#inside(address, bytes)) {
      this.#look(page);
      if (this.#states[page] === USABLE) count += 1;
    }
    return count * this.pageBytes;
  }

  /** Bytes of all pages that are usable and, without `needsCommit`, have been touched. */
  committedBytes(): number {
    const { start } = this.#source;
    return this.resident(start, this.#states.length * this.pageBytes - start);
  }

  get protectedBytes(): number {
    return this.#protected.size * this.pageBytes;
  }

  failAt(operation: PageCall, call: number): void {
    this.#failing.set(operation, call);
  }

  /** What was found since the last check. */
  check(): string[] {
    for (const page of this.#states.keys()) this.#look(page);
    return this.#found.splice(0);
  }

  #fails(operation: PageCall): boolean {
    this.calls[operation] += 1;
    const left = this.#failing.get(operation) ?? FAILS_NEVER;
    if (left === FAILS_NEVER) return false;
    this.#failing.set(operation, left - 1);
    return left === 1;
  }

  /** Pages that the memory has got besides are usable. */
  #reach(): void {
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
    this.#reach();
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

  /** Finds out what was done to a page since it was looked at last. */
  #look(page: number): void {
    if (this.#protected.has(page)) {
      if (!this.#holds(page, FORBIDDEN)) this.#blame(page, "protected");
    } else if (this.#states[page] === UNCOMMITTED) {
      if (!this.#holds(page, FORBIDDEN)) this.#blame(page, "not committed");
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

  #blame(page: number, state: string): void {
    const at = (page * this.pageBytes).toString(16);
    this.#found.push(`the page at 0x${at} was written to while it was ${state}`);
    this.#bytes(page).fill(FORBIDDEN);
  }
}
