/** Which NUMA node memory is on. The kernel places it well by itself, so this only reads. */
import type { Native } from "./ffi.ts";

/** Pages for one call of move_pages. */
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

/** move_pages without target nodes moves nothing, and returns the node of each present page. */
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
