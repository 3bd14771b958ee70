/** Which NUMA node memory lies on: questions only, because the kernel places it well by itself. */
import type { Native } from "./ffi.ts";

/** Pages asked for in one call. */
const PAGES_AT_ONCE = 16384;

/** "0-2,5" as [0, 1, 2, 5]. */
export function numaNodes(online: string): number[] {
  return online
    .trim()
    .split(",")
    .flatMap((run) => {
      const [first = 0, last = first] = run.split("-").map(Number);
      return Array.from({ length: last - first + 1 }, (_, index) => first + index);
    });
}

/** move_pages that moves nothing tells the node of each page, and faults none in. */
export function numaBytes(
  native: Native,
  address: number,
  bytes: number,
  pageBytes: number,
): Map<number, number> {
  const found = new Map<number, number>();
  const most = Math.min(PAGES_AT_ONCE, bytes / pageBytes);
  const pages = new BigUint64Array(most);
  const status = new Int32Array(most);
  for (let at = address; at < address + bytes; at += most * pageBytes) {
    const count = Math.min(most, (address + bytes - at) / pageBytes);
    for (let page = 0; page < count; page++) pages[page] = BigInt(at + page * pageBytes);
    if (native.movePages(0, count, pages, null, status, 0) < 0) continue;
    for (const node of status.subarray(0, count)) {
      if (node >= 0) found.set(node, (found.get(node) ?? 0) + pageBytes);
    }
  }
  return found;
}
