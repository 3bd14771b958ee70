/** Which reserves there are, and which one a slice is in: see layout.ts. */

import {
  A_RESERVE_COUNT,
  A_RESERVES,
  R_COUNT,
  R_FIRST,
  RESERVE_RECORDS,
  RESERVE_SHIFT,
} from "../layout/layout.ts";
import { arenaBase } from "../layout/state.ts";
import { atomicLoad } from "../target/atomics.ts";
import { load32 } from "../target/glue.ts";

/** Which of their slices are free; only where there are reserves. */
export function reserveBits(): usize {
  return atomicLoad(arenaBase, A_RESERVES);
}

/** How many records there are. */
export function reserveCount(): u32 {
  return atomicLoad(arenaBase, A_RESERVE_COUNT);
}

// @cold
export function reserveRecord(index: u32): usize {
  return reserveBits() + RESERVE_RECORDS + (index << RESERVE_SHIFT);
}

/** Record of the reserve with an id, which is its index plus 1, or 0. */
export function reserveOf(id: u32): usize {
  if ((id - 1) >>> 0 >= reserveCount()) return 0;
  const record: usize = reserveRecord(id - 1);
  return load32(record, R_COUNT) !== 0 ? record : 0;
}

/** Record of the reserve that a slice is in, or 0. */
// @cold
export function reserveAt(slice: u32): usize {
  const count: u32 = reserveCount();
  for (let i: u32 = 0; i < count; i++) {
    const record: usize = reserveRecord(i);
    if ((slice - load32(record, R_FIRST)) >>> 0 < load32(record, R_COUNT)) return record;
  }
  return 0;
}
