/** What stands below guarded blocks: an allocator, and a memory whose pages can be guarded. */

import { SIZE_LIMIT } from "../../common/errors.ts";
import type { GuardsMemory, HeapGuards } from "../../core/contract.ts";
import { type MemorySource, osPages, withOsPages } from "../../memory/index.ts";
import type { AllocatorLike } from "../store/backing.ts";
import { GuardTable } from "./table.ts";

/** What can be guarded: a heap, or anything with C's verbs whose memory is told as `source`. */
export interface GuardedBelow extends AllocatorLike {
  readonly source?: MemorySource;
  /** C's functions, of a heap that has them in WebAssembly. */
  readonly abi?: object;
  /** Of a heap, which chooses the sample itself; undefined if it cannot. */
  guardsBegin?(guards: HeapGuards): GuardsMemory | undefined;
}

/** What malloc aligns to. */
export const NATURAL = 16;

export function alignedBelow(below: GuardedBelow, alignment: number, size: number): number {
  if (below.memalign) return below.memalign(alignment, size);
  if (alignment <= NATURAL) return below.malloc(size);
  throw new TypeError("guarded: the allocator has no memalign");
}

/** Growth that this module does not see would undo guards made by mprotect. */
export function sourceGuarding(source: MemorySource): MemorySource {
  const os = osPages();
  const own = source.pages !== undefined;
  if (!own && os.available && os.guardKind === "mprotect") {
    throw new RangeError("guarded: this kernel needs a heap made with release: true");
  }
  const able = withOsPages(source);
  if (able.capabilities.canProtect) return able;
  throw new RangeError(`guarded: pages of this ${source.kind} cannot be made inaccessible`);
}

/** Where guarded blocks lie. */
export interface GuardRoom {
  /** A multiple of a page. */
  readonly from: number;
  /** Of a heap that chooses the sample itself. */
  readonly table: GuardTable | undefined;
  /** Gives the memory back, all of it accessible again. */
  give(): void;
}

/** @throws RangeError when memory is out, or no memory can have so much. */
export function roomTake(below: GuardedBelow, guards: HeapGuards, pageBytes: number): GuardRoom {
  const { bytes } = guards;
  if (bytes + pageBytes > SIZE_LIMIT) {
    throw new RangeError(`guarded: slots and guards would take ${bytes} bytes, more than 2 GiB`);
  }
  const seat = below.guardsBegin?.(guards);
  if (seat) {
    const table = new GuardTable(() => below.u32, seat.table);
    return { from: seat.address, table, give: () => seat.destroy() };
  }
  const raw = below.malloc(bytes + pageBytes);
  if (raw === 0) throw new RangeError(`guarded: no memory for ${bytes} bytes of slots`);
  const from = Math.ceil(raw / pageBytes) * pageBytes;
  return { from, table: undefined, give: () => below.free(raw) };
}
