/**
 * A memory whose pages behave like an operating system's, for tests: they are committed, given
 * back, reset and protected one by one, every call can be made to fail, and what a program may no
 * longer look at is scribbled over, so that looking shows.
 */
import { arrayBuffer } from "./buffers.ts";
import { type PageCall, SimulatedPages } from "./simulated-pages.ts";
import { type HugePages, type MemorySource, SLICE_BYTES } from "./source.ts";

export interface SimulatedOptions {
  /** Where the bytes are. Default: a growing ArrayBuffer. */
  source?: MemorySource | undefined;
  /** Bytes of a page: a power of two from 16 to 65536. Default: 4096. */
  pageBytes?: number | undefined;
  /**
   * Pages are unusable until they are committed, as VirtualAlloc has it; else they are usable from
   * the start, and zero when they are touched after a decommit, as madvise has it. Default: false.
   */
  needsCommit?: boolean | undefined;
  /** Huge pages: bytes of each, how many there are, what one takes. Default: none. */
  hugePages?: { bytes: number; count: number; milliseconds?: number } | undefined;
  /** NUMA nodes, and the one that the calling thread runs on. Default: one. */
  numa?: { nodes: number; node: number } | undefined;
}

export interface SimulatedMemory extends MemorySource {
  readonly pages: SimulatedPages;
  /** Bytes that are committed: without `needsCommit`, those that are not zero after a decommit. */
  readonly committedBytes: number;
  /** Bytes that are protected. */
  readonly protectedBytes: number;
  /** How often each operation was asked for. */
  readonly calls: Readonly<Record<PageCall, number>>;
  /** Makes the n-th call of an operation from now on fail, from 1; 0 = none does. */
  failAt(operation: PageCall, call: number): void;
  /**
   * What has been done to pages that nobody may touch, in words, in address order: they cannot
   * trap, so their scribble is looked at here and before every operation on them.
   */
  check(): string[];
}

/**
 * A simulated memory.
 *
 * @throws RangeError when pageBytes is no power of two from 16 to 65536.
 * @example
 * const memory = simulatedMemory({ needsCommit: true });
 * const heap = createHeap({ backend: javascript, memory });
 * heap.free(heap.malloc(300000));
 * heap.purge(true);
 */
export function simulatedMemory(options: SimulatedOptions = {}): SimulatedMemory {
  const { pageBytes = 4096, needsCommit = false, source = arrayBuffer() } = options;
  const good = pageBytes >= 16 && pageBytes <= SLICE_BYTES && (pageBytes & (pageBytes - 1)) === 0;
  if (!good)
    throw new RangeError(`pageBytes must be a power of two from 16 to 65536, not ${pageBytes}`);
  const pages = new SimulatedPages(source, pageBytes, needsCommit);
  const grow = (slices: number) => {
    const answer = source.grow(slices);
    if (answer !== 0) pages.add((answer & 0xffff) * SLICE_BYTES, (answer >>> 16) * SLICE_BYTES);
    return answer;
  };
  const { hugePages, numa } = options;
  return {
    kind: `simulated ${source.kind}`,
    capabilities: {
      ...source.capabilities,
      zeroed: needsCommit || source.capabilities.zeroed,
      canRelease: true,
      canProtect: true,
    },
    get buffer() {
      return source.buffer;
    },
    start: source.start,
    ...(source.memory && { memory: source.memory }),
    pages,
    get committedBytes() {
      return pages.committedBytes();
    },
    get protectedBytes() {
      return pages.protectedBytes;
    },
    calls: pages.calls,
    failAt: (operation, call) => pages.failAt(operation, call),
    check: () => pages.check(),
    ...(hugePages && { huge: hugePagesOf(hugePages, pages, grow) }),
    ...(numa && { numa }),
    grow,
  };
}

function hugePagesOf(
  { bytes, count, milliseconds = 0 }: NonNullable<SimulatedOptions["hugePages"]>,
  pages: SimulatedPages,
  grow: (slices: number) => number,
): HugePages {
  if (bytes === 0 || bytes % SLICE_BYTES !== 0) {
    throw new RangeError(`huge pages must be multiples of 65536 bytes, not ${bytes}`);
  }
  let left = count;
  return {
    pageBytes: bytes,
    reserve(wanted, _node, timeout) {
      // As mimalloc guesses it after the first page, whose time is that of all others.
      const late = timeout > 0 && milliseconds * wanted > 2 * timeout;
      const got = Math.min(wanted, left, late ? 1 : wanted);
      const answer = got === 0 ? 0 : grow((got * bytes) / SLICE_BYTES);
      if (answer === 0) return { address: 0, pages: 0 };
      left -= got;
      const address = (answer & 0xffff) * SLICE_BYTES;
      pages.commit(address, got * bytes);
      return { address, pages: got };
    },
  };
}
