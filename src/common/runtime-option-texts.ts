/** What the documentation says of each option of the process; no program loads this. */

import { type RuntimeOption, runtimeOptions, snakeCase } from "./runtime-options.ts";

const NOT_HERE = "No effect:";

export const runtimeOptionTexts: Readonly<Record<RuntimeOption, string>> = {
  showErrors:
    "1: errors and warnings are printed, the first `maxErrors` and `maxWarnings` of them.",
  showStats: "1: each heap that is alive when the process ends prints its statistics.",
  verbose: "1: all errors and warnings are printed, and statistics at the end; 2: growth too.",
  eagerCommit: `${NOT_HERE} where pages must be committed, it is done when they are taken.`,
  arenaEagerCommit: `${NOT_HERE} as eagerCommit.`,
  purgeDecommits:
    "0: a purge only tells the system that the contents do not matter. Of heaps made later.",
  allowLargeOsPages: `${NOT_HERE} linear memory has one size of page.`,
  reserveHugeOsPages: `${NOT_HERE} as allowLargeOsPages.`,
  reserveHugeOsPagesAt: `${NOT_HERE} as allowLargeOsPages.`,
  reserveOsMemory: "KiB that each heap of its own memory grows by when it is made.",
  deprecatedSegmentCache: `${NOT_HERE} not in mimalloc either.`,
  deprecatedPageReset: `${NOT_HERE} deprecated in mimalloc.`,
  abandonedPagePurge: `${NOT_HERE} the blocks of an abandoned page stay where they are.`,
  deprecatedSegmentReset: `${NOT_HERE} not in mimalloc either.`,
  eagerCommitDelay: `${NOT_HERE} as eagerCommit.`,
  purgeDelay: "Ticks until free memory is given back; 0 at once, -1 never. Of heaps made later.",
  useNumaNodes: `${NOT_HERE} a memory has no nodes.`,
  limitOsAlloc: "1: no heap grows its memory; what it has is all there is.",
  osTag: `${NOT_HERE} for the maps of macOS.`,
  maxErrors: "So many errors are printed; negative: all.",
  maxWarnings: "So many warnings are printed; negative: all.",
  maxSegmentReclaim: `${NOT_HERE} abandoned pages are found by a bitmap, not by trying segments.`,
  destroyOnExit: "1: heaps that are alive when the process ends are destroyed, or detached.",
  arenaReserve: `${NOT_HERE} the memory's growth policy decides by how much it grows.`,
  arenaPurgeMult: "By how much longer the memory of an arena waits. Of heaps made later.",
  purgeExtendDelay: "Ticks by which another free nearby puts that off. Of heaps made later.",
};

/** The table as Markdown. */
export function runtimeOptionsMarkdown(): string {
  const rows = runtimeOptions.map(({ name, initial }, index) => {
    const variable = `TERRANE_${snakeCase(name).toUpperCase()}`;
    return `| ${index} | ${name} | \`${variable}\` | ${initial} | ${runtimeOptionTexts[name]} |`;
  });
  return [
    "| # | option | environment | default | effect |",
    "|---|---|---|---|---|",
    ...rows,
    "",
  ].join("\n");
}
