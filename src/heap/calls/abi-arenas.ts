/** mimalloc's C functions for arenas. They fail by their results and never throw. */

import { ENOMEM, type ErrnoAbi, errnoOf } from "../../common/errno.ts";
import { outputWrite } from "../../common/log-output.ts";
import type { AbiFunction, ArenaCalls } from "./contract.ts";

/** What the functions need from the heap. */
interface ArenaAbiHost {
  arenas: ArenaCalls;
  /** Whose numbers of errno the functions return. */
  errno: ErrnoAbi;
  /** A new heap for an arena, or for any memory; 0 = there is no such arena, or no memory. */
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

export function arenasAbi({
  arenas,
  heapIn,
  store,
  errno,
}: ArenaAbiHost): Record<string, AbiFunction> {
  const outOfMemory = errnoOf(errno, ENOMEM);
  const reserve = (size: number, commit: number, exclusive: number, id: number): number => {
    const options = { commit: commit !== 0, exclusive: exclusive !== 0 };
    const made = attempt(() => arenas.reserve(size >>> 0, options));
    store(id, made ?? 0xffffffff);
    return made === undefined ? outOfMemory : 0;
  };
  const manage = (...[start, size, committed, large, zeroed, numa, ex, id]: Manage): number => {
    const options = {
      committed: committed !== 0 || large !== 0,
      pinned: large !== 0,
      zeroed: zeroed !== 0,
      numaNode: node(numa),
      exclusive: ex !== 0,
    };
    const made = attempt(() => arenas.manage(start >>> 0, size >>> 0, options));
    store(id, made ?? 0xffffffff);
    return made === undefined ? 0 : 1;
  };
  const hugeAt = (...[pages, numa, timeout, exclusive, id]: Huge): number => {
    store(id, 0xffffffff);
    if (pages === 0) return 0;
    const options = {
      numaNode: node(numa),
      timeout: timeout >>> 0,
      exclusive: exclusive !== 0,
    };
    const made = attempt(() => arenas.hugePages(pages >>> 0, options));
    if (made) store(id, made.arena);
    return made ? 0 : outOfMemory;
  };
  const interleaved = (pages: number, nodes: number, timeout: number) =>
    interleave(pages >>> 0, nodes >>> 0 || arenas.nodes, timeout >>> 0, hugeAt);
  return {
    mi_reserve_os_memory: (size = 0, commit = 0, _large = 0) => reserve(size, commit, 0, 0),
    mi_reserve_os_memory_ex: (size = 0, commit = 0, _large = 0, exclusive = 0, id = 0) =>
      reserve(size, commit, exclusive, id),
    mi_manage_os_memory: (start = 0, size = 0, committed = 0, large = 0, zero = 0, numa = -1) =>
      manage(start, size, committed, large, zero, numa, 0, 0),
    mi_manage_os_memory_ex: (
      start = 0,
      size = 0,
      committed = 0,
      large = 0,
      zero = 0,
      numa = -1,
      exclusive = 0,
      id = 0,
    ) => manage(start, size, committed, large, zero, numa, exclusive, id),
    mi_reserve_huge_os_pages_at: (pages = 0, numa = -1, timeout = 0) =>
      hugeAt(pages, numa, timeout, 0, 0),
    mi_reserve_huge_os_pages_at_ex: (pages = 0, numa = -1, timeout = 0, exclusive = 0, id = 0) =>
      hugeAt(pages, numa, timeout, exclusive, id),
    mi_reserve_huge_os_pages_interleave: (pages = 0, nodes = 0, timeout = 0) =>
      interleaved(pages, nodes, timeout),
    mi_reserve_huge_os_pages: (pages = 0, seconds = 0, reserved = 0) => {
      const failed = interleaved(pages, 0, Math.trunc(Math.max(0, seconds) * 1000));
      store(reserved, failed === 0 ? pages >>> 0 : 0);
      return failed;
    },
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
  large: number,
  zeroed: number,
  numa: number,
  exclusive: number,
  id: number,
];

type Huge = [pages: number, numa: number, timeout: number, exclusive: number, id: number];

/** Pages from all nodes in turn: the first ones get one more when they do not go up. */
function interleave(
  pages: number,
  nodes: number,
  timeout: number,
  hugeAt: (...of: Huge) => number,
): number {
  const each = Math.floor(pages / nodes);
  const patience = timeout === 0 ? 0 : Math.floor(timeout / nodes) + 50;
  for (let numa = 0; numa < nodes; numa++) {
    const want = each + (numa < pages % nodes ? 1 : 0);
    const failed = hugeAt(want, numa, patience, 0, 0);
    if (failed !== 0) return failed;
  }
  return 0;
}
