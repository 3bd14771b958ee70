/** What is in physical memory: by page from mincore, by mapping from /proc. */
import type { Native } from "./ffi.ts";

/** Sums over mappings, in bytes, as the kernel counts them: exact, unlike those of statm. */
export interface Residency {
  /** Bytes of address space. */
  sizeBytes: number;
  /** Bytes in physical memory. */
  residentBytes: number;
  /** Those of the resident bytes that were `reset` and that the kernel may take. */
  lazyBytes: number;
  /** Those of the resident bytes that are in huge pages. */
  hugeBytes: number;
  /** Bytes in swap space. */
  swapBytes: number;
}

/** Pages for one call of mincore, which writes a byte for each. */
const PAGES_AT_ONCE = 65536;

/** `maps` returns /proc/self/maps; called only if a part of the range is not mapped. */
export function residentCount(
  native: Native,
  address: number,
  bytes: number,
  pageBytes: number,
  maps: () => string,
): number {
  const into = new Uint8Array(Math.min(PAGES_AT_ONCE, bytes / pageBytes));
  const end = address + bytes;
  let pages = 0;
  for (let at = address; at < end; at += into.length * pageBytes) {
    const to = Math.min(at + into.length * pageBytes, end);
    const whole = pagesResident(native, at, to, into, pageBytes);
    if (whole < 0) return pages * pageBytes + residentMapped(native, at, end, pageBytes, maps);
    pages += whole;
  }
  return pages * pageBytes;
}

/** Number of resident pages; -1 if a part of the range is not mapped. */
function pagesResident(
  native: Native,
  from: number,
  to: number,
  into: Uint8Array,
  pageBytes: number,
): number {
  if (native.mincore(from, to - from, into) !== 0) return -1;
  let pages = 0;
  for (let page = 0; page < (to - from) / pageBytes; page++) pages += (into[page] as number) & 1;
  return pages;
}

/** Counts each mapping on its own; one that is unmapped meanwhile counts as 0. */
function residentMapped(
  native: Native,
  from: number,
  to: number,
  pageBytes: number,
  maps: () => string,
): number {
  let sum = 0;
  for (const [, start = "", stop = ""] of maps().matchAll(/^([0-9a-f]+)-([0-9a-f]+) /gm)) {
    const begin = Math.max(from, hexOf(start));
    const bytes = Math.min(to, hexOf(stop)) - begin;
    if (bytes > 0) sum += residentCount(native, begin, bytes, pageBytes, () => "");
  }
  return sum;
}

const FIELDS: [keyof Residency, string][] = [
  ["sizeBytes", "Size"],
  ["residentBytes", "Rss"],
  ["lazyBytes", "LazyFree"],
  ["hugeBytes", "AnonHugePages"],
  ["swapBytes", "Swap"],
];

/** Adds up the mappings of /proc/self/smaps that overlap [from, to). */
export function residencyRead(smaps: string, from: number, to: number): Residency {
  const sum = { sizeBytes: 0, residentBytes: 0, lazyBytes: 0, hugeBytes: 0, swapBytes: 0 };
  for (const mapping of smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const [start = 0, end = 0] = mapping.split(" ", 1)[0]?.split("-").map(hexOf) ?? [];
    if (start >= to || end <= from) continue;
    for (const [field, name] of FIELDS) sum[field] += kilobytes(mapping, name) * 1024;
  }
  return sum;
}

function hexOf(digits: string): number {
  return Number.parseInt(digits, 16);
}

function kilobytes(mapping: string, name: string): number {
  return Number(new RegExp(`^${name}: +(\\d+) kB`, "m").exec(mapping)?.[1] ?? 0);
}
