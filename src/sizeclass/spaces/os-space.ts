/** An address space of the operating system: real pages at addresses of the process. */
import { type OsPages, osPages } from "../../memory/index.ts";
import { WINDOW, WindowSpace } from "./windows.ts";

/** Options of osSpace. */
export interface OsSpaceOptions {
  /** Bytes of addresses to reserve, which cost no memory until they are used. Default: 2^41. */
  bytes?: number | undefined;
}

/**
 * Addresses of the process: reserved at once, committed as they are mapped, returned to the system
 * as they are released. Other native code can use the blocks as ordinary memory.
 *
 * An access through `view` to an address that is not mapped ends the process.
 */
export class OsSpace extends WindowSpace implements Disposable {
  /** For error texts. */
  readonly kind = "OS pages";
  /** The lowest address. */
  readonly begin: number;
  /** Bytes that are reserved. */
  readonly bytes: number;
  /** Bytes of a page of the system. */
  readonly pageBytes: number;
  readonly #os: OsPages;
  #isDestroyed = false;

  /** Use osSpace. */
  constructor(os: OsPages, begin: number, bytes: number) {
    super();
    this.#os = os;
    this.begin = begin;
    this.bytes = bytes;
    this.pageBytes = os.pageBytes;
  }

  /** Commits a range; false outside the space, or where the system has no memory for it. */
  map(address: number, bytes: number): boolean {
    return this.#has(address, bytes) && this.#os.commit(address, bytes);
  }

  /** The same as release: the range stays reserved and committed. */
  unmap(address: number, bytes: number): void {
    this.release(address, bytes);
  }

  /** Returns the physical memory of a range to the system; it reads as zero afterwards. */
  release(address: number, bytes: number): void {
    if (this.#has(address, bytes)) this.#os.decommit(address, bytes);
  }

  /** Bytes of a range that are in physical memory, according to the kernel. */
  resident(address: number, bytes: number): number {
    return this.#has(address, bytes) ? this.#os.resident(address, bytes) : 0;
  }

  /** Unmaps all addresses. The system may use them again, so no view may be used afterwards. */
  destroy(): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    this.windowsForget();
    this.#os.release(this.begin, this.bytes);
  }

  /** destroy, for `using`. */
  [Symbol.dispose](): void {
    this.destroy();
  }

  /**
   * `bytes` bytes at an address, valid as long as they are mapped.
   *
   * @throws RangeError outside the space, and after destroy.
   */
  view(address: number, bytes: number): Uint8Array {
    this.#need(address, bytes);
    return new Uint8Array(this.#os.view(address, bytes));
  }

  /** Each view is an object of the engine, which therefore views 16 MiB at a time. */
  protected windowAt(address: number): Uint32Array {
    this.#need(address, 1);
    return new Uint32Array(this.#os.view(address, WINDOW));
  }

  #has(address: number, bytes: number): boolean {
    return (
      !this.#isDestroyed && address >= this.begin && address + bytes <= this.begin + this.bytes
    );
  }

  #need(address: number, bytes: number): void {
    if (this.#has(address, bytes)) return;
    throw new RangeError(
      this.#isDestroyed ? "the address space was destroyed" : `nothing is reserved at ${address}`,
    );
  }
}

/**
 * Reserves addresses of the operating system as an address space.
 *
 * @throws RangeError, with the reason, where OS pages are not available, or when the system cannot
 * reserve so many addresses.
 * @example
 * if (osPages().available) {
 *   const heap = createSizeClassHeap({ space: osSpace(), releaseInterval: 5000 });
 *   heap.free(heap.malloc(100));
 *   heap.destroy();
 * }
 */
export function osSpace({ bytes = 2 ** 41 }: OsSpaceOptions = {}): OsSpace {
  const os = osPages();
  if (!os.available) throw new RangeError(`osSpace needs OS pages: ${os.missing}`);
  const begin = os.reserve(bytes, { alignment: WINDOW });
  if (begin === 0) {
    throw new RangeError(`the system cannot reserve ${bytes} bytes (errno ${os.lastError})`);
  }
  return new OsSpace(os, begin, bytes);
}
