/** Statistics as a table: the rows of mimalloc that have a meaning here. */
import { checkMembers } from "../../common/kinds.ts";
import { outputWrite } from "../../common/log-output.ts";
import type { HeapStats } from "./numbers.ts";
import { type ProcessInfo, readProcessInfo } from "./process-info.ts";
import {
  amountText,
  averageLine,
  bytesLine,
  countLine,
  elapsedLine,
  headerLine,
  numberLine,
  secondsText,
} from "./stats-text.ts";
import { binBytes, type CountOf, kinds } from "./tally.ts";

/**
 * Statistics as text, as mimalloc prints them. docs/reference/statistics.md explains the rows.
 *
 * @param stats What `stats()` of a heap has returned.
 * @example
 * console.log(formatStats(heap.stats()));
 */
export function formatStats(stats: HeapStats): string {
  checkMembers("stats", "what stats() of a heap returns", stats, "pageBytes", "counts");
  return statsLines(stats)
    .map((line) => `${line}\n`)
    .join("");
}

/** Prints statistics where messages go, a call for each line. */
export function printStats(stats: HeapStats): void {
  for (const line of statsLines(stats)) outputWrite(`${line}\n`);
}

/** All lines, without their ends. */
function statsLines(stats: HeapStats): string[] {
  const lines = [headerLine(), ...sizeLines(stats), ...memoryLines(stats)];
  return [...binLines(stats), ...lines, ...processLines(readProcessInfo(stats))];
}

/** Level 2: a row for each bin that was ever used; in blocks, shown as bytes. */
function binLines({ bins }: HeapStats): string[] {
  if (!bins) return [];
  const used = bins.filter(({ blocks }) => blocks.total > 0);
  const rows = used.map(({ bin, blocks }) => {
    return countLine(`normal ${String(bin).padStart(3)}`, blocks, binBytes(bin));
  });
  return [headerLine(), ...rows, ""];
}

/** Level 1: what kinds of blocks there are; level 2: what was asked for. */
function sizeLines({ sizes, requestedBytes }: HeapStats): string[] {
  if (!sizes) return [];
  const rows = kinds.map((kind) => {
    const { bytes, blocks } = sizes[kind];
    const average = Math.trunc(bytes.total / blocks.total);
    return countLine(kind, bytes, blocks.total === 0 ? 1 : -average);
  });
  const total = kinds.map((kind) => sizes[kind].bytes).reduce(countsAdd);
  const asked = requestedBytes === undefined ? [] : [bytesLine("malloc req", requestedBytes)];
  return [...rows, countLine("total", total, 1), ...asked, ""];
}

function countsAdd(a: CountOf, b: CountOf): CountOf {
  return {
    peak: a.peak + b.peak,
    total: a.total + b.total,
    freed: a.freed + b.freed,
    current: a.current + b.current,
  };
}

function memoryLines(stats: HeapStats): string[] {
  const { counts, heapBytes, committedBytes, purgedBytes } = stats;
  const reserved = { peak: heapBytes, total: heapBytes, freed: 0, current: heapBytes };
  const committed = {
    peak: stats.committedBytesPeak,
    total: committedBytes + purgedBytes,
    freed: purgedBytes,
    current: committedBytes,
  };
  return [
    countLine("reserved", reserved, 1, ""),
    countLine("committed", committed, 1, ""),
    bytesLine("reset", stats.resetBytes),
    bytesLine("purged", purgedBytes),
    countLine("touched", counts.pageBytes, 1),
    countLine("pages", counts.pages, -1),
    countLine("-abandoned", counts.abandoned, -1),
    numberLine("-extended", counts.extends),
    numberLine("-noretire", counts.noRetires),
    numberLine("mmaps", counts.growths),
    numberLine("commits", stats.commits),
    numberLine("resets", stats.resets),
    numberLine("purges", stats.purges),
    countLine("threads", counts.threads, -1),
    averageLine("searches", counts.searchedPages, counts.searches),
  ];
}

function processLines(info: ProcessInfo): string[] {
  const times = `user: ${secondsText(info.user)}, system: ${secondsText(info.system)}`;
  const rss = amountText(info.peakRss, 1).trimEnd();
  const commit = info.peakCommitted > 0 ? `, commit: ${amountText(info.peakCommitted, 1)}` : "";
  return [
    elapsedLine(info.elapsed),
    `   process: ${times}, faults: ${info.pageFaults}, rss: ${rss}${commit.trimEnd()}`,
  ];
}
