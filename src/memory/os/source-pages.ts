/** The pages of any source, through the operating system. */

import type { MemorySource, PageOperations } from "../source.ts";
import { type OsPages, osPages } from "./pages.ts";

/** What lib.es2024 will call these members. */
interface Resizable {
  readonly resizable?: boolean;
  readonly growable?: boolean;
}

/**
 * The source with operations on its pages: ranges of it can be given back to the system, and made
 * inaccessible. A source that has operations keeps its own.
 *
 * Ranges of a plain ArrayBuffer or SharedArrayBuffer cannot be made inaccessible (`canProtect`):
 * they are blocks of C's malloc, which must find them as they were. The same holds for a shared
 * memory that can grow where guards are made by mprotect: growth by another thread would undo them.
 *
 * @throws RangeError where there are no OS pages: osPages() tells what is missing.
 * @example
 * if (osPages().available) {
 *   const heap = createHeap({ memory: withOsPages(wasmMemory()) });
 *   heap.free(heap.malloc(2 ** 20));
 * }
 */
export function withOsPages(source: MemorySource): MemorySource {
  if (source.pages) return source;
  return withPages(source, requirePages("withOsPages"));
}

/** Whether a heap gives free memory back to the system: wherever it can, always, or not. */
export type Release = "auto" | boolean;

/**
 * The source as a heap with such a wish wants it.
 *
 * @throws RangeError for true where there are no OS pages.
 */
export function withRelease(source: MemorySource, release: Release | undefined): MemorySource {
  if (source.pages || !release) return source;
  if (release === "auto") {
    const os = osPages();
    return os.available ? withPages(source, os) : source;
  }
  return withPages(source, requirePages("release: true"));
}

/** @throws RangeError with what is missing. */
export function requirePages(who: string): OsPages {
  const os = osPages();
  if (os.available) return os;
  throw new RangeError(`${who} needs OS pages: ${os.missing}`);
}

/** The source with the operations of `os`. */
export function withPages(source: MemorySource, os: OsPages): MemorySource {
  const canProtect = canGuard(source, os);
  const pages = new SourcePages(source, os, canProtect);
  return {
    kind: source.kind,
    capabilities: { ...source.capabilities, canRelease: true, canProtect },
    get buffer() {
      return source.buffer;
    },
    start: source.start,
    ...(source.memory && { memory: source.memory }),
    ...(source.huge && { huge: source.huge }),
    ...(source.numa && { numa: source.numa }),
    pages,
    grow(slices) {
      const answer = source.grow(slices);
      if (answer !== 0) pages.grown();
      return answer;
    },
  };
}

function canGuard({ memory, buffer, capabilities }: MemorySource, os: OsPages): boolean {
  const { resizable, growable } = buffer as Resizable;
  const mapped = memory !== undefined || resizable === true || growable === true;
  return mapped && !(os.guardKind === "mprotect" && capabilities.shared && capabilities.canGrow);
}

/** Offsets in a buffer as addresses. Nothing outside of the buffer is ever named to the system. */
export class SourcePages implements PageOperations {
  readonly pageBytes: number;
  readonly needsCommit = false;
  readonly #source: { readonly buffer: ArrayBufferLike };
  readonly #os: OsPages;
  readonly #canProtect: boolean;
  #buffer: ArrayBufferLike | undefined;
  #base = 0;

  constructor(source: { readonly buffer: ArrayBufferLike }, os: OsPages, canProtect: boolean) {
    this.#source = source;
    this.#os = os;
    this.#canProtect = canProtect;
    this.pageBytes = os.pageBytes;
  }

  /** Nothing to do: pages come when they are touched. */
  commit(): boolean {
    return true;
  }

  decommit(address: number, bytes: number): boolean {
    const { from, to } = this.#inside(address, bytes);
    if (!(from < to)) return true;
    const base = this.#address();
    if (base === 0 || !this.#os.decommit(base + from, to - from)) return false;
    if (base % this.pageBytes !== 0) this.#edgesClear(base, from, to);
    return true;
  }

  reset(address: number, bytes: number): boolean {
    return this.#each(address, bytes, (at, size) => this.#os.reset(at, size));
  }

  protect(address: number, bytes: number): boolean {
    if (!this.#canProtect) return false;
    return this.#each(address, bytes, (at, size) => this.#os.guard(at, size));
  }

  unprotect(address: number, bytes: number): boolean {
    return this.#each(address, bytes, (at, size) => this.#os.unguard(at, size));
  }

  resident(address: number, bytes: number): number {
    const { from, to } = this.#inside(address, bytes);
    return from >= to
      ? 0
      : Math.min(to - from, this.#os.resident(this.#address() + from, to - from));
  }

  /** Address of an offset; 0 = the buffer is detached. For those who read fault addresses. */
  addressOf(offset: number): number {
    const base = this.#address();
    return base === 0 ? 0 : base + offset;
  }

  /** The engine has made all of the memory accessible. */
  grown(): void {
    if (this.#canProtect) this.#os.guardsRenew(this.#address(), this.#source.buffer.byteLength);
  }

  #each(address: number, bytes: number, call: (at: number, size: number) => boolean): boolean {
    const { from, to } = this.#inside(address, bytes);
    if (!(from < to)) return true;
    const base = this.#address();
    return base !== 0 && call(base + from, to - from);
  }

  /** Whole pages by offset, within the buffer. */
  #inside(address: number, bytes: number): { from: number; to: number } {
    const unit = this.pageBytes;
    const end = Math.min(address + bytes, this.#source.buffer.byteLength);
    const from = Math.ceil(Math.max(0, address) / unit) * unit;
    return { from, to: Math.floor(end / unit) * unit };
  }

  /**
   * A plain ArrayBuffer begins somewhere in a page: the first and the last page of a range belong
   * to others as well, stay, and are cleared by hand.
   */
  #edgesClear(base: number, from: number, to: number): void {
    const lead = this.pageBytes - (base % this.pageBytes);
    const bytes = new Uint8Array(this.#source.buffer);
    bytes.fill(0, from, Math.min(from + lead, to));
    bytes.fill(0, Math.max(to - this.pageBytes + lead, from), to);
  }

  /** Memories never move; buffers that grow by moving do. */
  #address(): number {
    const { buffer } = this.#source;
    if (buffer !== this.#buffer) {
      this.#buffer = buffer;
      this.#base = this.#os.addressOf(buffer);
    }
    return this.#base;
  }
}
