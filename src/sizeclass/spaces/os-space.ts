/** An address space of the operating system: the original constants over real pages. */
import { type OsPages, osPages } from "../../memory/index.ts";
import { WINDOW, WindowSpace } from "./windows.ts";

export interface OsSpaceOptions {
  /** Bytes of address space to reserve: they cost nothing until they are used. Default: 2^41. */
  bytes?: number | undefined;
}

/**
 * Addresses of the process, reserved at once, committed as they are mapped, and given back as they
 * are released. For other native code the blocks are ordinary memory.
 *
 * Accesses in it are checked by nobody: an address that is not mapped ends the process.
 */
export class OsSpace extends WindowSpace {
  readonly kind = "OS pages";
  readonly begin: number;
  /** Bytes that are reserved. */
  readonly bytes: number;
  readonly pageBytes: number;
  readonly #os: OsPages;
  #ended = false;

  /** Use osSpace. */
  constructor(os: OsPages, begin: number, bytes: number) {
    super();
    this.#os = os;
    this.begin = begin;
    this.bytes = bytes;
    this.pageBytes = os.pageBytes;
  }

  map(address: number, bytes: number): boolean {
    return this.#has(address, bytes) && this.#os.commit(address, bytes);
  }

  /** The range stays reserved, and committed, but has no memory. */
  unmap(address: number, bytes: number): void {
    this.release(address, bytes);
  }

  release(address: number, bytes: number): void {
    if (this.#has(address, bytes)) this.#os.decommit(address, bytes);
  }

  /** Bytes of a range that are in physical memory, as the kernel says. */
  resident(address: number, bytes: number): number {
    return this.#has(address, bytes) ? this.#os.resident(address, bytes) : 0;
  }

  /** Gives the address space back: nobody may touch it any more, for it may be another's then. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.windowsForget();
    this.#os.release(this.begin, this.bytes);
  }

  /**
   * The bytes at an address, for as long as they are mapped.
   *
   * @throws RangeError outside of the space, and when it has ended.
   */
  view(address: number, bytes: number): Uint8Array {
    this.#need(address, bytes);
    return new Uint8Array(this.#os.view(address, bytes));
  }

  /** Each counts as external memory of the engine: 16 MiB at a time are few. */
  protected windowAt(address: number): Uint32Array {
    this.#need(address, 1);
    return new Uint32Array(this.#os.view(address, WINDOW));
  }

  #has(address: number, bytes: number): boolean {
    return !this.#ended && address >= this.begin && address + bytes <= this.begin + this.bytes;
  }

  #need(address: number, bytes: number): void {
    if (this.#has(address, bytes)) return;
    throw new RangeError(
      this.#ended ? "the address space has ended" : `nothing is reserved at ${address}`,
    );
  }
}

/**
 * An address space of the operating system, for `sizeClass({ space })`.
 *
 * @throws RangeError where there are no OS pages, with what is missing, or when the system has no
 * address space of that size.
 * @example
 * if (osPages().available) {
 *   const heap = sizeClass({ space: osSpace(), releaseInterval: 5000 });
 *   heap.free(heap.malloc(100));
 *   heap.destroy();
 * }
 */
export function osSpace({ bytes = 2 ** 41 }: OsSpaceOptions = {}): OsSpace {
  const os = osPages();
  if (!os.available) throw new RangeError(`osSpace needs OS pages: ${os.missing}`);
  const begin = os.reserve(bytes, { alignment: WINDOW });
  if (begin === 0) {
    throw new RangeError(`the system reserves no ${bytes} bytes (errno ${os.lastError})`);
  }
  return new OsSpace(os, begin, bytes);
}
