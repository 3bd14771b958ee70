/** What stands below guarded blocks: an allocator, and a memory whose pages can be guarded. */
import { SIZE_LIMIT } from "../../common/errors.ts";
import type { HeapGuards } from "../../core/contract.ts";
import { createAbi } from "../../heap/create-abi.ts";
import { Heap } from "../../heap/heap.ts";
import { beginGuards } from "../../heap/hooks.ts";
import { type MemorySource, osPages, withOsPages } from "../../memory/index.ts";
import type { AllocatorLike } from "../store/allocator-like.ts";
import { GuardTable } from "./table.ts";

/** What `guarded` takes: a heap, or any allocator with C's calls and a `source`. */
export interface GuardedBelow extends AllocatorLike {
  /** The memory that its blocks lie in; without it `guarded` needs the option `source`. */
  readonly source?: MemorySource;
  /** C's functions, of a heap that has them in WebAssembly. */
  readonly abi?: object;
}

/** C's functions of the allocator; undefined if it has none. */
export function abiBelow(below: GuardedBelow): object | undefined {
  return below instanceof Heap ? createAbi(below) : below.abi;
}

/** The alignment of malloc. */
export const NATURAL = 16;

export function allocateAligned(below: GuardedBelow, alignment: number, size: number): number {
  if (below.memalign) return below.memalign(alignment, size);
  if (alignment <= NATURAL) return below.malloc(size);
  throw new TypeError(`guarded: alignment ${alignment} needs an allocator with memalign`);
}

/**
 * The source with pages that can be protected.
 *
 * @throws RangeError if the system cannot guard them. Guards made by mprotect are undone by growth
 * of the memory that this module does not see.
 */
export function protectableSource(source: MemorySource): MemorySource {
  const os = osPages();
  const own = source.pages !== undefined;
  if (!own && os.available && os.guardKind === "mprotect") {
    throw new RangeError("guarded: this kernel needs a heap made with release: withOsPages");
  }
  const able = withOsPages(source);
  if (able.capabilities.canProtect) return able;
  throw new RangeError(
    `guarded: pages of this ${source.kind} cannot be made inaccessible; use wasmMemory or osMemory`,
  );
}

/** The range of memory for guarded blocks. */
export interface GuardRange {
  /** A multiple of a page. */
  readonly from: number;
  /** The table of a heap that chooses the allocations itself. */
  readonly table: GuardTable | undefined;
  /** Gives the memory back. All of it must be accessible again. */
  release(): void;
}

/** @throws RangeError when memory is out, or the range is larger than any memory. */
export function takeRange(below: GuardedBelow, guards: HeapGuards, pageBytes: number): GuardRange {
  const { bytes } = guards;
  if (bytes + pageBytes > SIZE_LIMIT) {
    const what = `slots and guards would take ${bytes} bytes, more than 2 GiB`;
    throw new RangeError(`guarded: ${what}; lower slots or slotBytes`);
  }
  const taken = below instanceof Heap ? beginGuards(below, guards) : undefined;
  if (taken) {
    const table = new GuardTable(() => below.u32, taken.table);
    return { from: taken.address, table, release: () => taken.destroy() };
  }
  const raw = below.malloc(bytes + pageBytes);
  if (raw === 0) {
    throw new RangeError(
      `guarded: no memory for ${bytes} bytes of slots; lower slots or slotBytes`,
    );
  }
  const from = Math.ceil(raw / pageBytes) * pageBytes;
  return { from, table: undefined, release: () => below.free(raw) };
}
