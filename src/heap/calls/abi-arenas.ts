/** mimalloc's C functions for arenas. They fail by their results and never throw. */

import { ENOMEM } from "../../common/errno.ts";
import { outputWrite } from "../../common/log-output.ts";
import type { AbiFunction, ArenaCalls } from "./contract.ts";

/** What the functions need from the heap. */
interface ArenaAbiHost {
  arenas: ArenaCalls;
  /** A new heap for an arena; 0 = there is no such arena, or no memory. */
  heapIn(arena: number): number;
  /** Stores a word, unless the address is null. */
  store(at: number, value: number): void;
}

/** The result of a call; undefined when it throws. */
function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}

const node = (numa: number) => (numa < 0 ? undefined : numa);

export function arenasAbi({ arenas, heapIn, store }: ArenaAbiHost): Record<string, AbiFunction> {
  const reserve = (size: number, commit: number, exclusive: number, id: number): number => {
    const options = { commit: commit !== 0, exclusive: exclusive !== 0 };
    const made = attempt(() => arenas.reserve(size >>> 0, options));
    store(id, made ?? 0xffffffff);
    return made === undefined ? ENOMEM : 0;
  };
  const manage = (...[start, size, committed, zeroed, numa, exclusive, id]: Manage): number => {
    const options = {
      committed: committed !== 0,
      zeroed: zeroed !== 0,
      numaNode: node(numa),
      exclusive: exclusive !== 0,
    };
    const made = attempt(() => arenas.manage(start >>> 0, size >>> 0, options));
    store(id, made ?? 0xffffffff);
    return made === undefined ? 0 : 1;
  };
  const huge = (pages: number, numa: number, timeout: number): number => {
    if (pages === 0) return 0;
    const options = { numaNode: node(numa), timeout: timeout >>> 0 };
    return attempt(() => arenas.hugePages(pages >>> 0, options))?.pages ?? 0;
  };
  return {
    mi_reserve_os_memory: (size = 0, commit = 0, _large = 0) => reserve(size, commit, 0, 0),
    mi_reserve_os_memory_ex: (size = 0, commit = 0, _large = 0, exclusive = 0, id = 0) =>
      reserve(size, commit, exclusive, id),
    mi_manage_os_memory: (start = 0, size = 0, committed = 0, _large = 0, zero = 0, numa = -1) =>
      manage(start, size, committed, zero, numa, 0, 0),
    mi_manage_os_memory_ex: (
      start = 0,
      size = 0,
      committed = 0,
      _large = 0,
      zero = 0,
      numa = -1,
      exclusive = 0,
      id = 0,
    ) => manage(start, size, committed, zero, numa, exclusive, id),
    mi_reserve_huge_os_pages_at: (pages = 0, numa = -1, timeout = 0) =>
      huge(pages, numa, timeout) === 0 && pages !== 0 ? ENOMEM : 0,
    mi_reserve_huge_os_pages_interleave: (pages = 0, nodes = 0, timeout = 0) =>
      interleave(pages >>> 0, nodes >>> 0 || 1, timeout >>> 0, huge),
    mi_arena_area: (id = 0, size = 0) => {
      const area = attempt(() => arenas.area(id >>> 0));
      store(size, area?.bytes ?? 0);
      return area?.address ?? 0;
    },
    mi_heap_new_in_arena: (id = 0) => heapIn(id >>> 0),
    mi_debug_show_arenas: () => outputWrite(arenas.picture()),
  };
}

type Manage = [
  start: number,
  size: number,
  committed: number,
  zeroed: number,
  numa: number,
  exclusive: number,
  id: number,
];

/** Pages from all nodes in turn: the first ones get one more when they do not go up. */
function interleave(
  pages: number,
  nodes: number,
  timeout: number,
  huge: (pages: number, numa: number, timeout: number) => number,
): number {
  const each = Math.floor(pages / nodes);
  const patience = timeout === 0 ? 0 : Math.floor(timeout / nodes) + 50;
  for (let numa = 0; numa < nodes; numa++) {
    const want = each + (numa < pages % nodes ? 1 : 0);
    if (want > 0 && huge(want, numa, patience) === 0) return ENOMEM;
  }
  return 0;
}
