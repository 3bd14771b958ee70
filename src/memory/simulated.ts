/**
 * A memory whose pages behave like those of an operating system, for tests: pages are committed,
 * given back, reset and protected; every call can be made to fail; and what a program must not
 * access any more is overwritten, so that accesses show.
 */
import { wrongKind } from "../common/errors.ts";
import { flagOption, type OptionCheck, optionsCheck } from "../common/option-table.ts";
import { arrayBuffer } from "./buffers.ts";
import { type PageCall, SimulatedPages } from "./simulated-pages.ts";
import { type HugePages, type MemorySource, SLICE_BYTES, sourceError } from "./source.ts";
import { countsOption } from "./source-options.ts";

/** Options of `simulatedMemory`. */
export interface SimulatedOptions {
  /** The memory. Default: `arrayBuffer()`. */
  source?: MemorySource | undefined;
  /** Bytes of a page: a power of two from 16 to 65536. Default: 4096. */
  pageBytes?: number | undefined;
  /**
   * true: pages must be committed before they are accessed, as with VirtualAlloc. false: they are
   * usable from the start, and zero when touched after a decommit, as with madvise. Default: false.
   */
  needsCommit?: boolean | undefined;
  /**
   * Huge pages: bytes of each (a multiple of 65536), how many there are, and the milliseconds that
   * each takes to reserve. Default: none.
   */
  hugePages?: { bytes: number; count: number; milliseconds?: number } | undefined;
  /** Number of NUMA nodes, and the one that the calling thread runs on. Default: one node. */
  numa?: { nodes: number; node: number } | undefined;
}

/** What is checked of the options. */
const simulatedChecks: readonly OptionCheck[] = [
  { name: "source", refuse: (value) => sourceError("source", value) },
  { name: "pageBytes", refuse: pageBytesError },
  flagOption("needsCommit"),
  countsOption("hugePages", "bytes", "count"),
  countsOption("numa", "nodes", "node"),
];

function pageBytesError(value: unknown): Error | undefined {
  if (typeof value !== "number") return wrongKind("pageBytes", "a number", value);
  if (value >= 16 && value <= SLICE_BYTES && (value & (value - 1)) === 0) return undefined;
  return new RangeError(`pageBytes must be a power of two from 16 to 65536, not ${value}`);
}

/** A memory with simulated pages: see `simulatedMemory`. */
export interface SimulatedMemory extends MemorySource {
  /** The operations on its pages. */
  readonly pages: SimulatedPages;
  /** Bytes that are committed; without `needsCommit`, those of pages that were touched. */
  readonly committedBytes: number;
  /** Bytes that are protected. */
  readonly protectedBytes: number;
  /** Number of calls of each operation. */
  readonly calls: Readonly<Record<PageCall, number>>;
  /** Makes the n-th call of an operation from now on fail, from 1; 0: no call fails. */
  failAt(operation: PageCall, call: number): void;
  /**
   * The writes to forbidden pages since the last check, each as a sentence, in the order of their
   * addresses. Such pages cannot trap: their bytes are compared here, and before every operation.
   */
  check(): string[];
}

/**
 * A memory with simulated pages, for tests of code that uses `pages`.
 *
 * @throws RangeError when pageBytes is not a power of two from 16 to 65536, or huge pages are not
 * multiples of 65536 bytes.
 * @example
 * const memory = simulatedMemory({ needsCommit: true });
 * const heap = createHeap({ backend: javascript, memory });
 * heap.free(heap.malloc(300000));
 * heap.purge(true);
 */
export function simulatedMemory(options: SimulatedOptions = {}): SimulatedMemory {
  optionsCheck(simulatedChecks, options);
  const { pageBytes = 4096, needsCommit = false, source = arrayBuffer() } = options;
  const pages = new SimulatedPages(source, pageBytes, needsCommit);
  const grow = (slices: number) => {
    const grown = source.grow(slices);
    if (grown !== 0) pages.add((grown & 0xffff) * SLICE_BYTES, (grown >>> 16) * SLICE_BYTES);
    return grown;
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
    ...(source.maximum !== undefined && { maximum: source.maximum }),
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
      // mimalloc estimates the time of all pages after the first one.
      const late = timeout > 0 && milliseconds * wanted > 2 * timeout;
      const got = Math.min(wanted, left, late ? 1 : wanted);
      const grown = got === 0 ? 0 : grow((got * bytes) / SLICE_BYTES);
      if (grown === 0) return { address: 0, pages: 0 };
      left -= got;
      const address = (grown & 0xffff) * SLICE_BYTES;
      pages.commit(address, got * bytes);
      return { address, pages: got };
    },
  };
}
