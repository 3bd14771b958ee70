/** Pages of the operating system, by address: `pages` of a memory and osMemory use them. */

import { ENOMEM } from "../../common/errno.ts";
import {
  MADV_DONTNEED,
  MADV_FREE,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MAP_ANONYMOUS,
  MAP_HUGETLB,
  MAP_NORESERVE,
  MAP_PRIVATE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  SC_PAGESIZE,
} from "./constants.ts";
import { findNative, type Native, nodeProcess } from "./ffi.ts";
import { GUARDS_FULL, type Guards, guardsOf } from "./guards.ts";
import { numaBytes, numaNodes } from "./numa.ts";
import { type Residency, residencyRead, residentCount } from "./residency.ts";

/** The result where there are no OS pages. */
export interface OsPagesMissing {
  /** There are none. */
  readonly available: false;
  /** What is missing, as a sentence: "koffi is not installed (npm install koffi)". */
  readonly missing: string;
}

/** Options of `OsPages.reserve`. */
export interface ReserveOptions {
  /** Alignment of the address in bytes, a power of two. Default: the size of a page. */
  alignment?: number | undefined;
  /**
   * Takes huge pages that the administrator has reserved (vm.nr_hugepages), and commits them;
   * `reserve` returns 0 if there are too few. Release them in whole huge pages. `hugePages` asks
   * for those that the kernel makes by itself. Default: false.
   */
  huge?: boolean | undefined;
}

const ACCESS = { none: PROT_NONE, read: PROT_READ, write: PROT_READ | PROT_WRITE };

/**
 * Page operations on addresses of the process, in bytes. Each is one call of the system, however
 * long the range: do not call them page by page. All may be called from any thread, for memory of
 * any thread. Calls that take something away narrow their range to the whole pages inside; calls
 * that give something widen it. An empty range counts as done. They return whether they were done;
 * `lastError` tells why not.
 *
 * It is not checked that a range is yours: a wrong address destroys memory of the engine. The
 * operations of a memory source (`withOsPages`) stay within their memory.
 *
 * All methods throw TypeError or RangeError for a value that is not an address or a number of
 * bytes: a whole number from 0 to 2^53 - 1.
 * @example
 * const os = osPages();
 * if (os.available) {
 *   const at = os.reserve(2 ** 30); // address space only
 *   os.commit(at, 2 ** 20);
 *   new Uint8Array(os.view(at, 2 ** 20))[0] = 1;
 *   os.release(at, 2 ** 30); // after the last use of the view
 * }
 */
export class OsPages {
  /** There are OS pages. */
  readonly available = true;
  /** Bytes of a page: a power of two. */
  readonly pageBytes: number;
  readonly #native: Native;
  readonly #guards: Guards;
  #error = 0;

  /** Use `osPages`. */
  constructor(native: Native, pageBytes: number, guards: Guards) {
    this.#native = native;
    this.pageBytes = pageBytes;
    this.#guards = guards;
  }

  /**
   * How guard pages are made. "install" (Linux 6.13 and newer): any number of them, and they stay
   * when a WebAssembly.Memory grows. "mprotect": at most 8192 in a thread, and each growth makes
   * all of the memory accessible until `guardsRenew`.
   */
  get guardKind(): "install" | "mprotect" {
    return this.#guards.kind;
  }

  /** errno of the last call that returned false or 0; 12 is "out of memory". */
  get lastError(): number {
    return this.#error;
  }

  /** Bytes of a huge page that the kernel makes by itself; 0 where it makes none. */
  get hugePageBytes(): number {
    return Number(readFile("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size") ?? 0);
  }

  /** Bytes of a huge page of the administrator's, for `reserve`; 0 where the kernel has none. */
  get hugetlbBytes(): number {
    const found = /^Hugepagesize: +(\d+) kB/m.exec(readFile("/proc/meminfo") ?? "");
    return Number(found?.[1] ?? 0) * 1024;
  }

  /**
   * Reserves address space without memory, which is inaccessible until `commit`. Returns its
   * address; 0 = refused.
   */
  reserve(
    bytes: number,
    { alignment = this.pageBytes, huge = false }: ReserveOptions = {},
  ): number {
    checkRange(0, bytes);
    checkAlignment(alignment);
    if (huge) return this.#reserveHuge(bytes, this.hugetlbBytes);
    const size = up(bytes, this.pageBytes);
    if (alignment <= this.pageBytes) return this.#map(size, 0);
    const raw = this.#map(size + alignment, 0);
    return raw === 0 ? 0 : this.#trim(raw, size, alignment);
  }

  /** Unmaps a range. An access to it afterwards, through a view for example, ends the process. */
  release(address: number, bytes: number): boolean {
    const { from, size } = this.#inside(address, bytes);
    this.#guards.forget(from, size);
    return size === 0 || this.#isDone(this.#native.munmap(from, size));
  }

  /** Makes a reserved range accessible. Its pages are zero, and take memory when touched. */
  commit(address: number, bytes: number): boolean {
    const { from, size } = this.#around(address, bytes);
    return size === 0 || this.#isDone(this.#native.mprotect(from, size, ACCESS.write));
  }

  /** Gives the memory of a range back at once. The range stays accessible, and is zero. */
  decommit(address: number, bytes: number): boolean {
    const { from, size } = this.#inside(address, bytes);
    return size === 0 || this.#isDone(this.#native.madvise(from, size, MADV_DONTNEED));
  }

  /**
   * Lets the kernel take the memory of a range when it needs some. Until then the memory counts as
   * resident. Each page has its old bytes or is zero, until it is written.
   */
  reset(address: number, bytes: number): boolean {
    const { from, size } = this.#inside(address, bytes);
    if (size === 0 || this.#native.madvise(from, size, MADV_FREE) === 0) return true;
    return this.#isDone(this.#native.madvise(from, size, MADV_DONTNEED)); // file or old kernel
  }

  /**
   * Changes which accesses to a range are allowed; its bytes stay. Each run of pages that differs
   * from its neighbours is a mapping of the kernel, and a process can have 65 530: use `guard` for
   * many small ranges. Growth of a WebAssembly.Memory undoes it.
   *
   * @throws RangeError for another value of access.
   */
  protect(address: number, bytes: number, access: "none" | "read" | "write"): boolean {
    const wanted = ACCESS[access];
    if (wanted === undefined) throw accessUnknown(access);
    const { from, size } = this.#inside(address, bytes);
    return size === 0 || this.#isDone(this.#native.mprotect(from, size, wanted));
  }

  /** Makes guard pages of a range: every access fails. Its bytes are lost, its memory goes back. */
  guard(address: number, bytes: number): boolean {
    const { from, size } = this.#inside(address, bytes);
    return size === 0 || this.#isDone(this.#guards.set(from, size));
  }

  /** Makes a range usable of which all or some pages are guarded; those pages are zero. */
  unguard(address: number, bytes: number): boolean {
    const { from, size } = this.#around(address, bytes);
    return size === 0 || this.#isDone(this.#guards.clear(from, size));
  }

  /** Sets guards of a range again that the engine has undone by a growth of the memory. */
  guardsRenew(address: number, bytes: number): boolean {
    return this.#isDone(this.#guards.renew(address, bytes));
  }

  /**
   * Asks the kernel for huge pages in a range, or for none: they save TLB misses and take more
   * memory.
   */
  hugePages(address: number, bytes: number, wanted = true): boolean {
    const { from, size } = this.#around(address, bytes);
    const advice = wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE;
    return size === 0 || this.#isDone(this.#native.madvise(from, size, advice));
  }

  /** Bytes of the pages of a range that are in physical memory; counts whole pages. */
  resident(address: number, bytes: number): number {
    const { from, size } = this.#around(address, bytes);
    const maps = () => readFile("/proc/self/maps") ?? "";
    return residentCount(this.#native, from, size, this.pageBytes, maps);
  }

  /** What the kernel tells of the mappings that a range overlaps, each of them as a whole. */
  residency(address: number, bytes: number): Residency {
    checkRange(address, bytes);
    return residencyRead(readFile("/proc/self/smaps") ?? "", address, address + bytes);
  }

  /** Numbers of the NUMA nodes that are online. */
  numaNodes(): number[] {
    return numaNodes(readFile("/sys/devices/system/node/online") ?? "0");
  }

  /** Bytes of a range by the number of their NUMA node; pages that are absent do not count. */
  numaBytes(address: number, bytes: number): Map<number, number> {
    const { from, size } = this.#around(address, bytes);
    return numaBytes(this.#native, from, size, this.pageBytes);
  }

  /** Address of a buffer or view, which is the same in all threads; 0 if it has no bytes. */
  addressOf(bytes: ArrayBufferLike | ArrayBufferView): number {
    if (ArrayBuffer.isView(bytes)) return this.#native.addressOf(bytes);
    // Not the buffer itself: koffi does not accept a SharedArrayBuffer on Node 20.
    return bytes.byteLength === 0 ? 0 : this.#native.addressOf(new Uint8Array(bytes));
  }

  /**
   * The bytes at an address as an ArrayBuffer, which does not keep them mapped: an access after
   * `release` ends the process. Its length counts as external memory of the engine: make few.
   *
   * @param bytes at most 2^32.
   */
  view(address: number, bytes: number): ArrayBuffer {
    checkRange(address, bytes);
    if (bytes > VIEW_LIMIT) throw new RangeError(`view must have at most ${VIEW_LIMIT} bytes`);
    return this.#native.view(address, bytes);
  }

  #reserveHuge(bytes: number, unit: number): number {
    if (unit > 0) return this.#map(up(bytes, unit), MAP_HUGETLB);
    this.#error = ENOMEM;
    return 0;
  }

  #map(bytes: number, more: number): number {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | more;
    const access = more === MAP_HUGETLB ? ACCESS.write : ACCESS.none;
    const address = bytes === 0 ? -1 : this.#native.mmap(0, bytes, access, flags, -1, 0);
    if (address !== -1) return address;
    this.#error = this.#native.errno();
    return 0;
  }

  #trim(raw: number, size: number, alignment: number): number {
    const address = up(raw, alignment);
    const end = raw + size + alignment;
    this.release(raw, address - raw);
    this.release(address + size, end - address - size);
    return address;
  }

  #isDone(result: number): boolean {
    if (result !== 0) this.#error = result === GUARDS_FULL ? ENOMEM : this.#native.errno();
    return result === 0;
  }

  #inside(address: number, bytes: number): { from: number; size: number } {
    checkRange(address, bytes);
    const from = up(address, this.pageBytes);
    return { from, size: Math.max(0, down(address + bytes, this.pageBytes) - from) };
  }

  #around(address: number, bytes: number): { from: number; size: number } {
    checkRange(address, bytes);
    const from = down(address, this.pageBytes);
    return { from, size: bytes === 0 ? 0 : up(address + bytes, this.pageBytes) - from };
  }
}

/** With more, koffi on Node 20 ends the process. */
const VIEW_LIMIT = 2 ** 32;

let known: { native: Native; pages: OsPages | OsPagesMissing } | undefined;

/**
 * The page operations of this system, or what is missing for them. The first call loads koffi and
 * tests the kernel; later calls cost nothing.
 *
 * @example
 * const os = osPages();
 * console.log(os.available ? os.pageBytes : os.missing);
 */
export function osPages(): OsPages | OsPagesMissing {
  const native = findNative();
  if ("missing" in native) return { available: false, missing: native.missing };
  if (known?.native !== native) known = { native, pages: pagesOf(native) };
  return known.pages;
}

function pagesOf(native: Native): OsPages | OsPagesMissing {
  const pageBytes = native.sysconf(SC_PAGESIZE);
  const pages = new OsPages(native, pageBytes, guardsOf(native, pageBytes));
  const at = pages.reserve(pageBytes);
  const missing = at === 0 ? refusal(pages) : whatFails(native, pages, at);
  pages.release(at, pageBytes);
  return missing === undefined ? pages : { available: false, missing };
}

/**
 * Sandboxes may refuse these calls. Emulators may ignore decommit, because it is advice by its
 * name; but heaps rely on the memory that they gave back being zero.
 */
function whatFails(native: Native, pages: OsPages, at: number): string | undefined {
  const { pageBytes } = pages;
  if (!pages.commit(at, pageBytes)) return refusal(pages);
  native.memset(at, 1, pageBytes);
  if (!pages.decommit(at, pageBytes)) return refusal(pages);
  const kept = native.memchr(at, 1, pageBytes) !== 0;
  return kept ? "the system keeps pages that are given back" : undefined;
}

function refusal(pages: OsPages): string {
  return `the system refuses (errno ${pages.lastError})`;
}

function up(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

function down(value: number, unit: number): number {
  return Math.floor(value / unit) * unit;
}

function checkRange(address: number, bytes: number): void {
  checkWhole("address", address);
  checkWhole("bytes", bytes);
}

function checkWhole(name: string, value: unknown): void {
  if (typeof value !== "number") throw new TypeError(`${name} must be a number`);
  if (Number.isSafeInteger(value) && value >= 0) return;
  throw new RangeError(`${name} must be a whole number from 0 on, not ${value}`);
}

function accessUnknown(access: unknown): RangeError {
  return new RangeError(`access must be "none", "read" or "write", not ${String(access)}`);
}

function checkAlignment(alignment: number): void {
  checkWhole("alignment", alignment);
  if (alignment > 0 && Number.isInteger(Math.log2(alignment))) return;
  throw new RangeError(`alignment must be a power of two, not ${alignment}`);
}

function readFile(path: string): string | undefined {
  try {
    return nodeProcess()?.getBuiltinModule("node:fs").readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}
