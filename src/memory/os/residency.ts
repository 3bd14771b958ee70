/** What is in physical memory: page by page from mincore, mapping by mapping from /proc. */
import type { Native } from "./ffi.ts";

/** Figures of mappings, in bytes, as the kernel counts them: exact, unlike those of statm. */
export interface Residency {
  /** Of address space. */
  sizeBytes: number;
  residentBytes: number;
  /** Of those, what `reset` has given away and nobody has needed yet. */
  lazyBytes: number;
  /** Of those, what lies in huge pages. */
  hugeBytes: number;
  swapBytes: number;
}

/** Pages asked for in one call: the answer is a byte for each. */
const PAGES_AT_ONCE = 65536;

/** `maps` answers /proc/self/maps: it is read only where a part of the range is not mapped. */
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

/** -1 where a part is not mapped. */
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

/** Mapping by mapping; one that goes meanwhile counts nothing. */
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

/** Adds up the mappings of /proc/self/smaps that touch [from, to). */
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
