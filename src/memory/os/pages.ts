/** Pages of the operating system, by address: what a memory's `pages` and osMemory are made of. */

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

/** What is told where there are no OS pages. */
export interface OsPagesMissing {
  readonly available: false;
  /** What is missing, in a sentence: "koffi is not installed (npm install koffi)". */
  readonly missing: string;
}

export interface ReserveOptions {
  /** A power of two, in bytes. Default: a page. */
  alignment?: number | undefined;
  /**
   * Takes huge pages that the administrator has set aside (vm.nr_hugepages) and commits them; the
   * answer is 0 where there are too few. To be released in whole huge pages. `hugePages` asks for
   * those that the kernel finds itself.
   */
  huge?: boolean | undefined;
}

const ACCESS = { none: PROT_NONE, read: PROT_READ, write: PROT_READ | PROT_WRITE };

/**
 * Page operations on addresses of the process, in bytes. Each is one call of the system, however
 * long the range: never call them page by page. All may be called from any thread, for memory of
 * any thread. Calls that take something away narrow their range to the whole pages inside; those
 * that give widen it; an empty range is a success. They answer whether it happened; `lastError`
 * says why not.
 *
 * Nothing checks that a range is yours: a wrong address destroys memory of the engine. The
 * operations of a memory source (`withOsPages`) stay within their memory.
 *
 * @throws TypeError or RangeError for what is no address or no number of bytes.
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
  readonly available = true;
  /** Bytes of a page. */
  readonly pageBytes: number;
  readonly #native: Native;
  readonly #guards: Guards;
  #error = 0;

  /** Use osPages. */
  constructor(native: Native, pageBytes: number, guards: Guards) {
    this.#native = native;
    this.pageBytes = pageBytes;
    this.#guards = guards;
  }

  /**
   * How guard pages are made. "install" (Linux 6.13 and newer): as many as wanted, and growth of a
   * WebAssembly.Memory leaves them. "mprotect": at most 8192 a thread, and each growth makes
   * all of the memory accessible again, until `guardsRenew`.
   */
  get guardKind(): "install" | "mprotect" {
    return this.#guards.kind;
  }

  /** errno of the last call that answered false or 0; 12 is "out of memory". */
  get lastError(): number {
    return this.#error;
  }

  /** Bytes of a huge page that the kernel finds by itself; 0 where it looks for none. */
  get hugePageBytes(): number {
    return Number(fileRead("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size") ?? 0);
  }

  /** Bytes of a huge page that `reserve` takes of those set aside; 0 where the kernel has none. */
  get hugetlbBytes(): number {
    const found = /^Hugepagesize: +(\d+) kB/m.exec(fileRead("/proc/meminfo") ?? "");
    return Number(found?.[1] ?? 0) * 1024;
  }

  /** Address space without memory behind it, inaccessible until `commit`. 0 = refused. */
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

  /** Gives a range back for good. Whoever touches it afterwards, through any view, crashes. */
  release(address: number, bytes: number): boolean {
    const { from, size } = this.#inside(address, bytes);
    this.#guards.forget(from, size);
    return size === 0 || this.#told(this.#native.munmap(from, size));
  }

  /** Makes a reserved range accessible; the pages come when they are touched, and are zero. */
  commit(address: number, bytes: number): boolean {
    const { from, size } = this.#around(address, bytes);
    return size === 0 || this.#told(this.#native.mprotect(from, size, ACCESS.write));
  }

  /** Gives the memory behind a range back at once. The range stays accessible, and is zero. */
  decommit(address: number, bytes: number): boolean {
    const { from, size } = this.#inside(address, bytes);
    return size === 0 || this.#told(this.#native.madvise(from, size, MADV_DONTNEED));
  }

  /**
   * Lets the kernel take the memory behind a range when it needs some. Until then the old bytes
   * stay, and count as resident; each page is either as it was or zero, until it is written.
   */
  reset(address: number, bytes: number): boolean {
    const { from, size } = this.#inside(address, bytes);
    if (size === 0 || this.#native.madvise(from, size, MADV_FREE) === 0) return true;
    return this.#told(this.#native.madvise(from, size, MADV_DONTNEED)); // a file, or old kernel
  }

  /**
   * Changes what may be done with a range; its bytes stay. Each run of pages that differs from its
   * neighbours is a mapping of the kernel, of which a process has 65 530: for many small ranges
   * take `guard`. Growth of a WebAssembly.Memory undoes it.
   */
  protect(address: number, bytes: number, access: "none" | "read" | "write"): boolean {
    const wanted = ACCESS[access];
    if (wanted === undefined) throw accessUnknown(access);
    const { from, size } = this.#inside(address, bytes);
    return size === 0 || this.#told(this.#native.mprotect(from, size, wanted));
  }

  /** Makes guard pages of a range: any access fails. Its bytes and the memory behind it go. */
  guard(address: number, bytes: number): boolean {
    const { from, size } = this.#inside(address, bytes);
    return size === 0 || this.#told(this.#guards.set(from, size));
  }

  /** Makes a range usable again that was guarded, wholly or in part; what was guarded is zero. */
  unguard(address: number, bytes: number): boolean {
    const { from, size } = this.#around(address, bytes);
    return size === 0 || this.#told(this.#guards.clear(from, size));
  }

  /** After a growth of the memory in this range: puts guards back that the engine has undone. */
  guardsRenew(address: number, bytes: number): boolean {
    return this.#told(this.#guards.renew(address, bytes));
  }

  /** Wishes for huge pages in a range, or for none: fewer misses against more memory. */
  hugePages(address: number, bytes: number, wanted = true): boolean {
    const { from, size } = this.#around(address, bytes);
    const advice = wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE;
    return size === 0 || this.#told(this.#native.madvise(from, size, advice));
  }

  /** Bytes of the pages that a range touches and that are in physical memory. */
  resident(address: number, bytes: number): number {
    const { from, size } = this.#around(address, bytes);
    const maps = () => fileRead("/proc/self/maps") ?? "";
    return residentCount(this.#native, from, size, this.pageBytes, maps);
  }

  /** What the kernel says of the mappings that a range touches, each of them as a whole. */
  residency(address: number, bytes: number): Residency {
    checkRange(address, bytes);
    return residencyRead(fileRead("/proc/self/smaps") ?? "", address, address + bytes);
  }

  /** The NUMA nodes that are online. */
  numaNodes(): number[] {
    return numaNodes(fileRead("/sys/devices/system/node/online") ?? "0");
  }

  /** Bytes of a range by the NUMA node that they lie on; absent pages lie on none. */
  numaBytes(address: number, bytes: number): Map<number, number> {
    const { from, size } = this.#around(address, bytes);
    return numaBytes(this.#native, from, size, this.pageBytes);
  }

  /** Where the bytes of a buffer or view lie: the same in all threads; 0 if it has none. */
  addressOf(bytes: ArrayBufferLike | ArrayBufferView): number {
    if (ArrayBuffer.isView(bytes)) return this.#native.addressOf(bytes);
    // Not the buffer itself: koffi takes no SharedArrayBuffer on Node 20.
    return bytes.byteLength === 0 ? 0 : this.#native.addressOf(new Uint8Array(bytes));
  }

  /**
   * The bytes at an address as an ArrayBuffer. It does not keep them: after `release` any use of it
   * ends the process. Its length counts as external memory of the engine, so make few.
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

  #told(result: number): boolean {
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

/** Above, koffi on Node 20 ends the process; nothing here needs more. */
const VIEW_LIMIT = 2 ** 32;

let known: { native: Native; pages: OsPages | OsPagesMissing } | undefined;

/**
 * The page operations of this system, or what is missing for them. The first call loads koffi and
 * tries the kernel out; later ones cost nothing.
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
 * Sandboxes may answer these calls with an error. Emulators may take decommit for advice, which it
 * is by its name: but heaps rely on what they gave back being zero.
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

function fileRead(path: string): string | undefined {
  try {
    return nodeProcess()?.getBuiltinModule("node:fs").readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}
