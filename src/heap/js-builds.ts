/** The builds of the core as JavaScript. */

import type { CoreExports, SharedCoreExports } from "../core/contract.ts";
import type { CoreHost } from "../core/target/glue.ts";
import type { HardHost } from "../core/target/glue-hard.ts";
import { arrayBuffer, sharedArrayBuffer } from "../memory/buffers.ts";
import type { MemorySource } from "../memory/index.ts";
import { type CoreBuild, type HardenedBuild, hostOf, hostReaching } from "./backend.ts";

/** The build for one thread; `create` is the core of that build. */
export function jsBuild(
  create: (host: HardHost) => CoreExports,
  hardened?: HardenedBuild,
): CoreBuild & { readonly kind: "js"; readonly shared: false } {
  return {
    kind: "js",
    shared: false,
    hardening: hardened?.start,
    createSource: arrayBuffer,
    bind(setting) {
      const core = create(withHard(hostOf(setting), hardened?.host(setting)));
      const { foreign, source } = setting;
      if (!source.capabilities.detaches) return core;
      if (foreign) return refreshing(core, core.memoryRefresh);
      refreshOnGrowth(source, core.memoryRefresh);
      return core;
    },
  };
}

/** The build for threads. */
export function sharedJsBuild(
  create: (host: HardHost) => SharedCoreExports,
  hardened?: HardenedBuild,
): CoreBuild<SharedCoreExports> & { readonly kind: "js"; readonly shared: true } {
  return {
    kind: "js",
    shared: true,
    hardening: hardened?.start,
    createSource: sharedArrayBuffer,
    bind(setting) {
      const core = create(withHard(hostReaching(setting), hardened?.host(setting)));
      return setting.source.capabilities.canGrow ? refreshing(core, core.stateReach) : core;
    },
  };
}

/** `buffer` must stay a getter. An unhardened core does not call what is missing. */
function withHard(host: CoreHost, more: object | undefined): HardHost {
  return Object.assign(host, more) as HardHost;
}

/**
 * When other code grows the memory, the JavaScript core is left with views that are empty, or
 * short if the memory is shared, and would read undefined without an error. A memory that was made
 * for the heap is grown through its source only, and needs no guard at each call.
 */
function refreshing<C extends CoreExports>(core: C, refresh: () => void): C {
  const guard =
    (call: (...args: number[]) => unknown) => (a: number, b: number, c: number, d: number) => {
      refresh();
      return call(a, b, c, d);
    };
  const calls = Object.entries(core).map(([name, call]) => [name, guard(call)]);
  return Object.fromEntries(calls) as C;
}

/** For a source that was made for the heap: `heap.source` can still be grown by other code. */
function refreshOnGrowth(source: MemorySource, refresh: () => void): void {
  const grow = source.grow.bind(source);
  source.grow = (slices) => {
    const grown = grow(slices);
    refresh();
    return grown;
  };
}
