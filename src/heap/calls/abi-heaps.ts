/** mimalloc's C functions for sub-heaps: a heap is its id, and ids are what C passes around. */
import type { CoreExports } from "../../core/contract.ts";
import { AREA_LIVE, H_ID, H_STATE } from "../../core/layout/layout.ts";
import type { AbiFunction, HeapHost } from "./contract.ts";

/** Which ids are heaps that C may name; a null pointer is none. */
export interface HeapIds {
  has(heap: number): boolean;
}

/** The heaps of this thread, as the memory has them. */
export function heapIds(core: CoreExports, host: Pick<HeapHost, "bytes">): HeapIds {
  const { threadBound } = core as { threadBound?(): number };
  const live = threadBound && ((threadBound() << 2) | AREA_LIVE) >>> 0;
  return {
    has(heap) {
      if (heap === 0 || heap % 16 !== 0) return false;
      const bytes = host.bytes();
      if (heap + H_STATE + 4 > bytes.length) return false;
      const words = new DataView(bytes.buffer);
      if (words.getUint32(heap + H_ID, true) !== heap) return false;
      return live === undefined || words.getUint32(heap + H_STATE, true) === live;
    },
  };
}

/** A function on a heap that is named first; returns 0 for what is not a heap. */
export function within(core: CoreExports, ids: HeapIds, call: AbiFunction): AbiFunction {
  return (heap = 0, a = 0, b = 0, c = 0, d = 0, e = 0) => {
    if (!ids.has(heap >>> 0)) return 0;
    const was = core.heapBind(heap >>> 0);
    try {
      return call(a, b, c, d, e);
    } finally {
      core.heapBind(was);
    }
  };
}

export function heapFunctions(
  core: CoreExports,
  ids: HeapIds,
): Readonly<Record<string, AbiFunction>> {
  const isOwned = (heap: number, p: number) =>
    Number((p & 7) === 0 && core.heapOf(p >>> 0) >>> 0 === heap >>> 0);
  const collect: AbiFunction = (force = 0) => {
    core.heapCollect(force);
    if (force !== 0) core.purge(1);
  };
  const onHeap = (call: AbiFunction): AbiFunction => {
    return (heap = 0) => (ids.has(heap >>> 0) ? call(heap >>> 0) : undefined);
  };
  return {
    collect,
    heap_collect: within(core, ids, collect),
    heap_new: () => core.heapNew(),
    heap_delete: onHeap((heap = 0) => core.heapDelete(heap)),
    heap_destroy: onHeap((heap = 0) => core.heapDestroy(heap)),
    heap_get_default: () => core.heapBound(),
    heap_set_default: (heap = 0) => (ids.has(heap >>> 0) ? core.heapBind(heap >>> 0) : 0),
    heap_get_backing: () => core.heapBacking(),
    heap_contains_block: (heap = 0, p = 0) => Number(core.heapOf(p >>> 0) >>> 0 === heap >>> 0),
    heap_check_owned: (heap = 0, p = 0) => isOwned(heap, p),
    check_owned: (p = 0) => isOwned(core.heapBound(), p),
  };
}

/** A new heap for an arena, 0 = any memory; returns 0 for no such arena, and without memory. */
export function heapNewIn(core: CoreExports, arena: number): number {
  const heap = core.heapNew();
  if (heap === 0 || arena === 0 || core.heapLimit(heap, 0, arena)) return heap;
  core.heapDelete(heap);
  return 0;
}
