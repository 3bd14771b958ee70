/** What the platform tells of the process: Node's numbers, zeros elsewhere. */
import { checkMembers } from "../../common/kinds.ts";
import type { HeapStats } from "./numbers.ts";

/** What readProcessInfo returns. Times are in milliseconds, sizes in bytes. */
export interface ProcessInfo {
  /** Milliseconds since terrane was loaded. */
  elapsed: number;
  /** Milliseconds of processor time in the program. */
  user: number;
  /** Milliseconds of processor time in the system. */
  system: number;
  /** Bytes of physical memory of the process. */
  rss: number;
  /** The most that rss has been. */
  peakRss: number;
  /** Bytes of the heap's memory that are committed. */
  committed: number;
  /** The most that committed has been. */
  peakCommitted: number;
  /** Page faults that needed a disk. */
  pageFaults: number;
}

const start = now();

function now(): number {
  return typeof performance === "object" ? performance.now() : Date.now();
}

/**
 * Times, memory and page faults of the process, as far as the platform tells them; zeros elsewhere.
 *
 * @param stats What `stats()` of a heap has returned, for the bytes that are committed.
 * @example
 * const { peakRss } = readProcessInfo(heap.stats());
 */
export function readProcessInfo(stats: HeapStats): ProcessInfo {
  checkMembers("stats", "what stats() of a heap returns", stats, "committedBytes");
  const { committedBytes: committed, committedBytesPeak: peakCommitted } = stats;
  return { elapsed: Math.trunc(now() - start), ...usage(), committed, peakCommitted };
}

/** Node counts microseconds and KiB. */
function usage() {
  const none = { user: 0, system: 0, rss: 0, peakRss: 0, pageFaults: 0 };
  if (typeof process !== "object" || typeof process.resourceUsage !== "function") return none;
  const { userCPUTime, systemCPUTime, maxRSS, majorPageFault } = process.resourceUsage();
  const rss = process.memoryUsage.rss();
  return {
    user: Math.trunc(userCPUTime / 1000),
    system: Math.trunc(systemCPUTime / 1000),
    rss,
    peakRss: Math.max(rss, maxRSS * 1024),
    pageFaults: majorPageFault,
  };
}
