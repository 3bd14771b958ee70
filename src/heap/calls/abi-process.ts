/** mimalloc's C functions that are about the process and not about a heap. */

import { options } from "../../common/log.ts";
import { type RuntimeOption, runtimeOptions } from "../../common/runtime-options.ts";
import type { AbiFunction, HeapHost, StatsSource } from "./contract.ts";
import { prefixed } from "./table.ts";

type Memory = Pick<HeapHost, "bytes">;

/** The version of mimalloc whose functions and behaviour these are: 2.1.2. */
const MIMALLOC_VERSION = 212;

/** All threads count together, so that there is nothing to merge. */
export function statsAbi(source: StatsSource, memory: Memory): Record<string, AbiFunction> {
  const mallinfo = (out = 0) => mallinfoWrite(memory.bytes(), out >>> 0, source.stats());
  return {
    mi_stats_reset: () => source.resetStats(),
    mi_stats_merge: () => {},
    mi_stats_print: () => source.printStats(),
    ...mallinfoNames(mallinfo),
    mi_process_info: (...out: number[]) => processInfoWrite(source, memory, out),
  };
}

/** Options by mimalloc's numbers; a number that no option has returns 0 and sets nothing. */
export function processAbi(
  heap: Partial<Pick<StatsSource, "optionSet" | "threadDone">> = {},
): Record<string, AbiFunction> {
  const withOption = (option: number, act: (name: RuntimeOption) => void) => {
    const row = runtimeOptions[option];
    if (!row) return;
    act(row.name);
    heap.optionSet?.(row.name);
  };
  return {
    mi_thread_done: () => heap.threadDone?.(),
    mi_version: () => MIMALLOC_VERSION,
    mi_process_init: () => {},
    mi_thread_init: () => {},
    mi_is_redirected: () => 0,
    mi_option_get: (option = 0) => valueOf(option),
    mi_option_get_clamp: (option = 0, min = 0, max = 0) =>
      Math.max(min, Math.min(max, valueOf(option))),
    mi_option_get_size: (option = 0) => Math.min(Math.max(0, valueOf(option)) * 1024, 0xffffffff),
    mi_option_is_enabled: (option = 0) => Number(valueOf(option) !== 0),
    mi_option_set: (option = 0, value = 0) =>
      withOption(option, (name) => options.set(name, value)),
    mi_option_set_default: (option = 0, value = 0) =>
      withOption(option, (name) => options.setDefault(name, value)),
    mi_option_set_enabled: (option = 0, on = 0) =>
      withOption(option, (name) => options.setEnabled(name, on !== 0)),
    mi_option_set_enabled_default: (option = 0, on = 0) =>
      withOption(option, (name) => options.setEnabledDefault(name, on !== 0)),
    mi_option_enable: (option = 0) => withOption(option, (name) => options.enable(name)),
    mi_option_disable: (option = 0) => withOption(option, (name) => options.disable(name)),
  };
}

/** Eight words, in mimalloc's order; a null pointer leaves one out. */
function processInfoWrite(source: StatsSource, memory: Memory, out: number[]): void {
  const info = source.processInfo();
  const { elapsed, user, system, rss, peakRss, committed, peakCommitted, pageFaults } = info;
  const values = [elapsed, user, system, rss, peakRss, committed, peakCommitted, pageFaults];
  const bytes = memory.bytes();
  const words = new DataView(bytes.buffer);
  for (const [i, value] of values.entries()) {
    const address = (out[i] ?? 0) >>> 0;
    if (address !== 0) words.setUint32(address, Math.min(value, 0xffffffff), true);
  }
}

function valueOf(option: number): number {
  const row = runtimeOptions[option];
  return row ? options.get(row.name) : 0;
}

/** What mallinfo tells of a heap, in bytes. */
export interface MallinfoSource {
  /** Taken from the memory. */
  readonly heapBytes: number;
  /** In blocks. */
  readonly blockBytes: number;
  /** In no block and no page. */
  readonly freeBytes: number;
  /** The most that pages have had. */
  readonly pageBytesPeak: number;
  /** Number of pages. */
  readonly pages: number;
}

/** The names of mallinfo. */
export function mallinfoNames(mallinfo: AbiFunction): Record<string, AbiFunction> {
  const names = ["mallinfo", "mallinfo2"].flatMap(prefixed);
  return Object.fromEntries(names.map((name) => [name, mallinfo]));
}

/** The ten words of C's struct mallinfo, as dlmalloc fills them; null is left alone. */
export function mallinfoWrite(bytes: Uint8Array, out: number, of: MallinfoSource): void {
  if (out === 0) return;
  const { heapBytes, blockBytes, freeBytes, pageBytesPeak, pages } = of;
  const free = heapBytes - blockBytes;
  const values = [heapBytes, pages, 0, 0, 0, pageBytesPeak, 0, blockBytes, free, freeBytes];
  const words = new DataView(bytes.buffer);
  for (const [i, value] of values.entries()) words.setUint32(out + 4 * i, value, true);
}
