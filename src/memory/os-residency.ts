/** What is in physical memory: page by page from mincore, mapping by mapping from /proc. */
import type { Native } from "./os-native.ts";

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

export function residentCount(
  native: Native,
  address: number,
  bytes: number,
  pageBytes: number,
): number {
  const into = new Uint8Array(Math.min(PAGES_AT_ONCE, bytes / pageBytes));
  let pages = 0;
  for (let at = address; at < address + bytes; at += into.length * pageBytes) {
    const size = Math.min(into.length * pageBytes, address + bytes - at);
    if (native.mincore(at, size, into) !== 0) continue; // nothing is mapped there
    for (let page = 0; page < size / pageBytes; page++) pages += (into[page] as number) & 1;
  }
  return pages * pageBytes;
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
