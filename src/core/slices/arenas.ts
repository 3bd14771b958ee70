/** The arenas, and the one that a slice is in: see layout-arenas.ts. */

import { stateBase } from "../layout/globals.ts";
import * as L from "../layout/layout.ts";
import { atomicLoad } from "../target/atomics.ts";
import { load32 } from "../target/glue.ts";

/** The bitmap of the arenas' free slices; 0 = there are no arenas. */
export function arenaBits(): usize {
  return atomicLoad(stateBase, L.S_ARENAS);
}

/** Number of records. */
export function arenaCount(): u32 {
  return atomicLoad(stateBase, L.S_ARENA_COUNT);
}

// @cold
export function arenaRecord(index: u32): usize {
  return arenaBits() + L.ARENA_RECORDS + (index << L.ARENA_RECORD_SHIFT);
}

/** Record of the arena with an id, which is its index plus 1; or 0. */
export function arenaOf(id: u32): usize {
  if ((id - 1) >>> 0 >= arenaCount()) return 0;
  const record: usize = arenaRecord(id - 1);
  return load32(record, L.A_COUNT) !== 0 ? record : 0;
}

/** Record of the arena that a slice is in, or 0. */
// @cold
export function arenaAt(slice: u32): usize {
  const count: u32 = arenaCount();
  for (let i: u32 = 0; i < count; i++) {
    const record: usize = arenaRecord(i);
    if ((slice - load32(record, L.A_FIRST)) >>> 0 < load32(record, L.A_COUNT)) return record;
  }
  return 0;
}
