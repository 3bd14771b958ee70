/** The pages of any source, by the operating system. */

import { checkSource, type MemorySource, type PageOperations } from "../source.ts";
import { type OsPages, osPages } from "./pages.ts";

/** Members of lib.es2024. */
interface Resizable {
  readonly resizable?: boolean;
  readonly growable?: boolean;
}

/**
 * The source with operations on its pages: ranges of it can be given back to the system, and made
 * inaccessible. A source that has `pages` is returned as it is.
 *
 * Ranges of a fixed ArrayBuffer or SharedArrayBuffer cannot be made inaccessible (`canProtect`):
 * they are blocks of C's malloc, which must be able to use them again. Neither can those of a
 * shared memory that grows, where guards are made by mprotect: growth by another thread undoes
 * them.
 *
 * @throws TypeError unless source is a memory source; RangeError where there are no OS pages, with
 * what is missing.
 * @example
 * if (osPages().available) {
 *   const heap = createHeap({ memory: withOsPages(wasmMemory()) });
 *   heap.free(heap.malloc(2 ** 20));
 * }
 */
export function withOsPages(source: MemorySource): MemorySource {
  checkSource("source", source);
  if (source.pages) return source;
  return withPages(source, requirePages("withOsPages"));
}

/**
 * `withOsPages` where there are OS pages; elsewhere the source as it is.
 *
 * @example
 * const heap = createHeap({ release: tryOsPages });
 */
export function tryOsPages(source: MemorySource): MemorySource {
  checkSource("source", source);
  const os = osPages();
  return source.pages || !os.available ? source : withPages(source, os);
}

/** @throws RangeError with what is missing. */
export function requirePages(call: string): OsPages {
  const os = osPages();
  if (os.available) return os;
  throw new RangeError(`${call} needs OS pages: ${os.missing}`);
}

/** The source with operations on its pages by `os`. */
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
    ...(source.maximum !== undefined && { maximum: source.maximum }),
    ...(source.huge && { huge: source.huge }),
    ...(source.numa && { numa: source.numa }),
    pages,
    grow(slices) {
      const grown = source.grow(slices);
      if (grown !== 0) pages.grown();
      return grown;
    },
  };
}

function canGuard({ memory, buffer, capabilities }: MemorySource, os: OsPages): boolean {
  const { resizable, growable } = buffer as Resizable;
  const mapped = memory !== undefined || resizable === true || growable === true;
  return mapped && !(os.guardKind === "mprotect" && capabilities.shared && capabilities.canGrow);
}

/** Page operations on offsets in a buffer. They never leave the buffer. */
export class SourcePages implements PageOperations {
  /** Bytes of a page: a power of two. */
  readonly pageBytes: number;
  /** A decommitted range need not be committed. */
  readonly needsCommit = false;
  readonly #source: { readonly buffer: ArrayBufferLike };
  readonly #os: OsPages;
  readonly #canProtect: boolean;
  #buffer: ArrayBufferLike | undefined;
  #base = 0;

  /** Use `withOsPages` or `osMemory`. */
  constructor(source: { readonly buffer: ArrayBufferLike }, os: OsPages, canProtect: boolean) {
    this.#source = source;
    this.#os = os;
    this.#canProtect = canProtect;
    this.pageBytes = os.pageBytes;
  }

  /** Does nothing, because pages take memory when they are touched; returns true. */
  commit(): boolean {
    return true;
  }

  /** Gives the memory of a range back; the range is zero at once. */
  decommit(address: number, bytes: number): boolean {
    const { from, to } = this.#inside(address, bytes);
    if (!(from < to)) return true;
    const base = this.#address();
    if (base === 0 || !this.#os.decommit(base + from, to - from)) return false;
    if (base % this.pageBytes !== 0) this.#edgesClear(base, from, to);
    return true;
  }

  /** Lets the kernel take the memory of a range when it needs some. */
  reset(address: number, bytes: number): boolean {
    return this.#each(address, bytes, (at, size) => this.#os.reset(at, size));
  }

  /** Makes a range inaccessible; its bytes are lost. false where `canProtect` is. */
  protect(address: number, bytes: number): boolean {
    if (!this.#canProtect) return false;
    return this.#each(address, bytes, (at, size) => this.#os.guard(at, size));
  }

  /** Makes a range accessible that was protected; it is zero. */
  unprotect(address: number, bytes: number): boolean {
    return this.#each(address, bytes, (at, size) => this.#os.unguard(at, size));
  }

  /** Bytes of the whole pages in a range that are in physical memory. */
  resident(address: number, bytes: number): number {
    const { from, to } = this.#inside(address, bytes);
    return from >= to
      ? 0
      : Math.min(to - from, this.#os.resident(this.#address() + from, to - from));
  }

  /** Address of an offset in the process, to compare with addresses of faults; 0 = detached. */
  addressOf(offset: number): number {
    const base = this.#address();
    return base === 0 ? 0 : base + offset;
  }

  /**
   * To be called after a growth, by which the engine makes all of the memory accessible.
   *
   * @internal
   */
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
   * A fixed ArrayBuffer begins in the middle of a page. The first and the last page of a range have
   * other bytes too: they stay resident, and the bytes of the range are cleared.
   */
  #edgesClear(base: number, from: number, to: number): void {
    const lead = this.pageBytes - (base % this.pageBytes);
    const bytes = new Uint8Array(this.#source.buffer);
    bytes.fill(0, from, Math.min(from + lead, to));
    bytes.fill(0, Math.max(to - this.pageBytes + lead, from), to);
  }

  /** Memories do not move; buffers that grow by moving do. */
  #address(): number {
    const { buffer } = this.#source;
    if (buffer !== this.#buffer) {
      this.#buffer = buffer;
      this.#base = this.#os.addressOf(buffer);
    }
    return this.#base;
  }
}
