/** The options of heaps as the documentation has them; no program loads this. */

import type { OptionText } from "../common/option-table.ts";

/** The options of createHeap; where createSharedHeap takes other values, the text names them. */
export const heapOptionTexts: OptionText[] = [
  {
    name: "memory",
    type: "WebAssembly.Memory | MemorySource",
    default: "a new memory",
    text: "Where bytes come from: a memory of yours, or a source from terrane/memory.",
  },
  {
    name: "offset",
    type: "number",
    default: "the end of `memory`",
    text: "First byte of `memory` that the heap may use, rounded up to 64 KiB.",
  },
  {
    name: "initial",
    type: "number",
    default: "128 KiB",
    text: "Bytes of a new memory that are there at once, rounded up to 64 KiB.",
  },
  {
    name: "maximum",
    type: "number",
    default: "4 GiB less 64 KiB",
    text: "Bytes beyond which the memory does not grow: then allocation returns 0.",
  },
  {
    name: "release",
    type: "(source) => MemorySource",
    default: "false",
    text:
      "Gives free memory back to the operating system: `tryOsPages` of terrane/memory where that " +
      "can be done, `withOsPages` throws where it cannot. See docs/guide/os-pages.md.",
  },
  {
    name: "purgeDelay",
    type: "number",
    default: "10",
    text: "Ticks from a free to giving memory back, if that can be; 0 = at once, -1 = never.",
  },
  {
    name: "purgeExtendDelay",
    type: "number",
    default: "1",
    text: "Ticks by which another free nearby puts that off.",
  },
  {
    name: "arenaPurgeMult",
    type: "number",
    default: "10",
    text: "By how much longer the memory of an arena waits.",
  },
  {
    name: "purgeDecommits",
    type: "boolean",
    default: "true",
    text: "Giving back decommits; else the system is only told that the contents do not matter.",
  },
  {
    name: "purgeZeroes",
    type: "boolean",
    default: "false",
    text: "Fills freed memory that cannot be given back with zeros, so that calloc need not.",
  },
  {
    name: "onError",
    type: "(code, value, text) => void",
    default: "nothing",
    text:
      "Called when a request fails: 12 = out of memory, 75 = request too large; with hardening " +
      "also for mistakes.",
  },
  {
    name: "backend",
    type: "JavaScriptBackEnd",
    default: "WebAssembly",
    text:
      "`javascript` of terrane/javascript, for places where WebAssembly may not run; for " +
      "createSharedHeap `sharedJavascript`.",
  },
  {
    name: "hardening",
    type: "Hardening | false",
    default: "false",
    text:
      "Finds mistakes and makes attacks harder: what `hardening()` of terrane/hardening returns; " +
      "for createSharedHeap `sharedHardening()`. See docs/guide/hardening.md.",
  },
];

/** The options of hardening(), sharedHardening() and their kin for the JavaScript back end. */
export const hardeningOptionTexts: OptionText[] = [
  {
    name: "features",
    type: "feature[]",
    default: "all",
    text: "Those that are on; an empty list is the hardened core with nothing on.",
  },
  {
    name: "seed",
    type: "number",
    default: "random",
    text: "A whole number of 32 bits: the same seed gives the same keys and orders.",
  },
];
