/** Memory of the operating system as a source, for the JavaScript back end. */

import {
  checkBytes,
  type GrowthOptions,
  growWithin,
  type MemorySource,
  SLICE_BYTES,
  SLICES_LIMIT,
  slicesFor,
} from "../source.ts";
import type { OsPages } from "./pages.ts";
import { requirePages, SourcePages } from "./source-pages.ts";

export interface OsMemoryOptions extends GrowthOptions {
  /** Bytes that are there at once. Default: as few as possible. */
  initial?: number | undefined;
  /** Wishes for huge pages wherever the kernel finds some. Default: false. */
  hugePages?: boolean | undefined;
}

/** Memory that can grow in place, with operations on its pages. */
export interface OsMemory extends MemorySource {
  readonly pages: SourcePages;
  /** Where it lies, for other code in the process. */
  readonly address: number;
}

/** Address spaces by their memories, to be given back when nobody can touch them any more. */
interface Space {
  readonly os: OsPages;
  readonly address: number;
  readonly bytes: number;
  /** Buffers over it that the collector has not taken. */
  buffers: number;
}

const spaces = new FinalizationRegistry((space: Space) => {
  space.buffers -= 1;
  if (space.buffers === 0) space.os.release(space.address, space.bytes);
});

/**
 * Memory that the system maps, as a source for `backend: javascript`. Its address space, up to
 * `maximum`, is reserved at once and costs nothing; it grows in place, so no byte is ever copied
 * and old views stay valid, but short. It goes back to the system once the source and all views
 * were collected. For one thread: it is no SharedArrayBuffer.
 *
 * It doubles by default, because each growth makes a buffer that counts as external memory until
 * the old one is collected; pages that nobody touches cost nothing.
 *
 * @throws RangeError where there are no OS pages, when a number of bytes makes no sense, or when
 * the system refuses.
 * @example
 * if (osPages().available) {
 *   const heap = createHeap({ backend: javascript, memory: osMemory() });
 *   heap.free(heap.malloc(100));
 * }
 */
export function osMemory(options: OsMemoryOptions = {}): OsMemory {
  for (const name of ["initial", "maximum"] as const) checkBytes(name, options[name]);
  const initial = slicesFor(Math.max(options.initial ?? 0, 2 * SLICE_BYTES)) * SLICE_BYTES;
  const maximum = Math.min(options.maximum ?? 2 ** 32, SLICES_LIMIT * SLICE_BYTES);
  if (maximum < initial) {
    throw new RangeError(`maximum ${maximum} is below the ${initial} needed`);
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
    address: space.address,
    grow: (slices: number) =>
      growWithin(slices, source.buffer.byteLength / SLICE_BYTES, limits, (n) => {
        const before = source.buffer.byteLength;
        const grown = spaceView(space, before, before + n * SLICE_BYTES);
        if (grown) buffer = grown;
        return grown ? before / SLICE_BYTES : -1;
      }),
  };
  // Not a spread: that would read the buffer once and for all.
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

/** The system has no more address space, or the process as many mappings as it may have. */
function spaceMissing({ os, address, bytes }: Space): RangeError {
  const errno = os.lastError;
  if (address !== 0) os.release(address, bytes);
  return new RangeError(`osMemory: no ${bytes} bytes of address space (errno ${errno})`);
}

/** The first `to` bytes, of which those from `from` on are made accessible. */
function spaceView(space: Space, from: number, to: number): ArrayBuffer | undefined {
  const { os, address } = space;
  if (!os.commit(address + from, to - from)) return undefined;
  const buffer = os.view(address, to);
  space.buffers += 1;
  spaces.register(buffer, space);
  return buffer;
}
