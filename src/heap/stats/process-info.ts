/** What the platform says of the process: Node's figures, zeros elsewhere. */

/** Times are in milliseconds, sizes in bytes. */
export interface ProcessInfo {
  /** Since this module was loaded. */
  elapsed: number;
  /** Time of the processor in the program and in the system. */
  user: number;
  system: number;
  /** Physical memory of the process, and the most it has had. */
  rss: number;
  peakRss: number;
  /** Bytes of the heap's memory that are committed, and the most that were. */
  committed: number;
  peakCommitted: number;
  /** Page faults that needed a disk. */
  pageFaults: number;
}

const start = now();

function now(): number {
  return typeof performance === "object" ? performance.now() : Date.now();
}

/** The figures of the process, with those of a heap's memory. */
export function processInfoOf(committed: number, peakCommitted: number): ProcessInfo {
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
