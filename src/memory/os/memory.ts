/** Memory of the operating system as a source, for the JavaScript back end. */

import { optionsCheck } from "../../common/option-table.ts";
import {
  type GrowthOptions,
  growWithin,
  type MemorySource,
  SLICE_BYTES,
  SLICES_LIMIT,
  slicesFor,
} from "../source.ts";
import { osMemoryChecks } from "../source-options.ts";
import type { OsPages } from "./pages.ts";
import { requirePages, SourcePages } from "./source-pages.ts";

/** Options of `osMemory`. */
export interface OsMemoryOptions extends GrowthOptions {
  /** Bytes that the memory has at first, rounded up to 64 KiB. Default: 128 KiB. */
  initial?: number | undefined;
  /** Asks for huge pages where the kernel can make some. Default: false. */
  hugePages?: boolean | undefined;
}

/** Memory of the operating system: see `osMemory`. */
export interface OsMemory extends MemorySource {
  /** The operations on its pages. */
  readonly pages: SourcePages;
  /** Address of its first byte in the process, for native code. */
  readonly address: number;
}

/** A range of addresses, which is unmapped when no buffer over it can be reached any more. */
interface Space {
  readonly os: OsPages;
  readonly address: number;
  readonly bytes: number;
  /** Number of buffers over it that were not garbage-collected. */
  buffers: number;
}

const spaces = new FinalizationRegistry((space: Space) => {
  space.buffers -= 1;
  if (space.buffers === 0) space.os.release(space.address, space.bytes);
});

/**
 * Memory that the system maps, as a source for the JavaScript back end. Its address space, up to
 * `maximum`, is reserved at once and costs nothing. It grows in place: no byte is copied, and old
 * views stay valid but do not cover the new bytes. It goes back to the system when the source and
 * all of its views have been garbage-collected. For one thread: it is not a SharedArrayBuffer.
 *
 * By default it doubles, because each growth makes a buffer that counts as external memory until
 * the old one is collected. Pages that are not touched cost nothing.
 *
 * @throws RangeError where there are no OS pages, or when the system refuses; TypeError or
 * RangeError for a number of bytes out of range.
 * @example
 * if (osPages().available) {
 *   const heap = createHeap({ backend: javascript, memory: osMemory() });
 *   heap.free(heap.malloc(100));
 * }
 */
export function osMemory(options: OsMemoryOptions = {}): OsMemory {
  optionsCheck(osMemoryChecks, options);
  const initial = slicesFor(Math.max(options.initial ?? 0, 2 * SLICE_BYTES)) * SLICE_BYTES;
  const maximum = Math.min(options.maximum ?? 2 ** 32, SLICES_LIMIT * SLICE_BYTES);
  if (maximum < initial) {
    throw new RangeError(`maximum must be at least ${initial} bytes, not ${maximum}`);
  }
  const os = requirePages("osMemory");
  const space = spaceReserve(os, Math.floor(maximum / SLICE_BYTES) * SLICE_BYTES);
  if (options.hugePages) os.hugePages(space.address, space.bytes);
  let buffer = spaceView(space, 0, initial);
  if (!buffer) throw spaceMissing(space);
  const limits = { ...options, growth: options.growth ?? growDouble };
  const source = {
    kind: "OS memory",
    capabilities: {
      canGrow: true,
      shared: false,
      zeroed: true,
      detaches: false,
      canRelease: true,
      canProtect: true,
    },
    get buffer() {
      return buffer as ArrayBuffer;
    },
    start: SLICE_BYTES,
    maximum: space.bytes,
    address: space.address,
    grow: (slices: number) =>
      growWithin(slices, source.buffer.byteLength / SLICE_BYTES, limits, (n) => {
        const before = source.buffer.byteLength;
        const grown = spaceView(space, before, before + n * SLICE_BYTES);
        if (grown) buffer = grown;
        return grown ? before / SLICE_BYTES : -1;
      }),
  };
  // Not a spread, which would read the getter `buffer` only once.
  return Object.assign(source, { pages: new SourcePages(source, os, true) });
}

function growDouble(needed: number, present: number): number {
  return Math.max(needed, present);
}

function spaceReserve(os: OsPages, bytes: number): Space {
  const address = os.reserve(bytes, { alignment: SLICE_BYTES });
  const space = { os, address, bytes, buffers: 0 };
  if (address === 0) throw spaceMissing(space);
  return space;
}

/** The system has no address space left, or the process has as many mappings as it may have. */
function spaceMissing({ os, address, bytes }: Space): RangeError {
  const errno = os.lastError;
  if (address !== 0) os.release(address, bytes);
  return new RangeError(
    `osMemory: no ${bytes} bytes of address space (errno ${errno}): pass a smaller maximum`,
  );
}

/** A buffer over the first `to` bytes; makes those from `from` on accessible. */
function spaceView(space: Space, from: number, to: number): ArrayBuffer | undefined {
  const { os, address } = space;
  if (!os.commit(address + from, to - from)) return undefined;
  const buffer = os.view(address, to);
  space.buffers += 1;
  spaces.register(buffer, space);
  return buffer;
}
