/** What createHeap and createSharedHeap do with their options before there is a heap. */

import { options as processOptions } from "../common/log.ts";
import type { CoreExports } from "../core/contract.ts";
import type { MemorySource } from "../memory/index.ts";
import { wasmMemory } from "../memory/wasm-memory.ts";
import type { CoreBuild } from "./backend.ts";
import type { HeapOptions, MemoryOptions, SharedHeapOptions } from "./options.ts";
import { type PurgeSettings, purgeDefaults, purgeLimits, purgeMerge } from "./purge-settings.ts";

/** The build of the core that the options name; `unhardened` is the one of WebAssembly. */
export function buildOf<Core extends CoreExports>(
  { backend, hardening }: HeapOptions | SharedHeapOptions,
  unhardened: CoreBuild<Core>,
): CoreBuild<Core> {
  if (backend && hardening) {
    throw new TypeError(
      "hardening is for the WebAssembly back end: give " +
        `{ backend: ${unhardened.shared ? "sharedHardenedJavascript" : "hardenedJavascript"}() } ` +
        'from "terrane/hardening" alone',
    );
  }
  return ((hardening || backend) as CoreBuild<Core> | undefined) || unhardened;
}

/** Options that a memory which is there already has settled are refused, not dropped. */
export function sourceOf(build: CoreBuild, options: MemoryOptions): MemorySource {
  const source = givenSource(build, options);
  return options.release ? options.release(source) : source;
}

function givenSource(build: CoreBuild, options: MemoryOptions): MemorySource {
  const { memory, offset, initial, maximum } = options;
  if (memory === undefined) return build.createSource({ offset, initial, maximum });
  if (initial !== undefined) throw new TypeError("initial is for a new memory");
  if (memory instanceof WebAssembly.Memory) return wasmMemory({ memory, offset, maximum });
  if (offset !== undefined || maximum !== undefined) {
    throw new TypeError("offset and maximum belong to the source that is given as memory");
  }
  return memory;
}

/** What the options of the process say, and over these the heap's own. */
export function purgeOf(options: MemoryOptions): PurgeSettings {
  const most = purgeLimits;
  const ofProcess = {
    ...purgeDefaults,
    purgeDelay: processOptions.getClamp("purgeDelay", -1, most.purgeDelay),
    purgeExtendDelay: processOptions.getClamp("purgeExtendDelay", 0, most.purgeExtendDelay),
    arenaPurgeMult: processOptions.getClamp("arenaPurgeMult", 0, most.arenaPurgeMult),
    purgeDecommits: processOptions.isEnabled("purgeDecommits"),
  };
  return purgeMerge(ofProcess, options);
}
