/** Statistics of the hardened malloc, as numbers and in Scudo's formats. */
import type { HardenedBlocks } from "./blocks.ts";
import type { QuarantineStats } from "./quarantine.ts";

/** Statistics of a hardened malloc at one moment. Blocks in quarantine count as free. */
export interface HardenedStats {
  /** Bytes that are mapped for blocks: of regions, and of large blocks with their heads. */
  readonly mappedBytes: number;
  /** Usable bytes of the live blocks. */
  readonly allocatedBytes: number;
  /** Number of live blocks. */
  readonly allocatedBlocks: number;
  /** Bytes of chunks without a live block. */
  readonly freeBytes: number;
  /** Freed blocks that are kept from reuse. */
  readonly quarantine: QuarantineStats;
}

export function statsOf(blocks: HardenedBlocks): HardenedStats {
  const { primary } = blocks.heap;
  let allocatedBytes = 0;
  let allocatedBlocks = 0;
  let freeBytes = primary.totalMemoryUsed;
  blocks.forEach((ptr, size, bytes) => {
    allocatedBytes += size;
    allocatedBlocks++;
    if (primary.classOf(ptr) !== 0) freeBytes -= bytes;
  });
  const { regions, large } = blocks.heap.stats();
  const mappedBytes = regions.reduce((sum, one) => sum + one.mappedBytes, large.mappedBytes);
  const quarantine = blocks.quarantine.stats();
  return { mappedBytes, allocatedBytes, allocatedBlocks, freeBytes, quarantine };
}

/** The quarantine and its limits, a line each; empty without a quarantine. */
export function quarantineText({ flags, quarantine }: HardenedBlocks): string {
  const { quarantineSizeKb = 0, threadLocalQuarantineSizeKb = 0 } = flags;
  if (quarantineSizeKb === 0) return "";
  const { blocks, bytes, threadBlocks, threadBytes } = quarantine.stats();
  return (
    `Stats: Quarantine: bytes: ${bytes} (thread: ${threadBytes}); ` +
    `chunks: ${blocks} (thread: ${threadBlocks})\n` +
    `Quarantine limits: global: ${quarantineSizeKb}K; ` +
    `thread local: ${threadLocalQuarantineSizeKb}K\n`
  );
}

export function mallocInfo(blocks: HardenedBlocks): string {
  const counts = new Map<number, number>();
  blocks.forEach((_, size) => {
    counts.set(size, (counts.get(size) ?? 0) + 1);
  });
  const rows = [...counts]
    .toSorted(([a], [b]) => a - b)
    .map(([size, count]) => `<alloc size="${size}" count="${count}"/>\n`);
  return `<malloc version="scudo-1">\n${rows.join("")}</malloc>\n`;
}
