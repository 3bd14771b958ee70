/** The builds of the core as WebAssembly. */

import { wasmRefused } from "../common/errors.ts";
import type { CoreExports, SharedCoreExports } from "../core/contract.ts";
import { wasmMemory } from "../memory/wasm-memory.ts";
import { type CoreBuild, type CoreSetting, type HardenedBuild, hostOf } from "./backend.ts";

const modules = new Map<string, WebAssembly.Module>();

/** The wasm comes with the package's code: importing needs no file and no network. */
function compile(base64: string): WebAssembly.Module {
  const known = modules.get(base64);
  if (known) return known;
  const made = compiled(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
  modules.set(base64, made);
  return made;
}

/** A policy of the page can forbid to compile, and an engine can be without WebAssembly. */
function compiled(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module {
  try {
    return new WebAssembly.Module(bytes);
  } catch (error) {
    throw wasmRefused(error);
  }
}

/** The build for one thread. */
export function wasmBuild(base64: string, hardened?: HardenedBuild): CoreBuild {
  return {
    kind: "wasm",
    shared: false,
    hardening: hardened?.start,
    createSource: wasmMemory,
    bind: (setting) => bindWasm(setting, compile(base64), hardened?.host(setting)),
  };
}

/** The build for threads, which is compiled once in a program and sent to the other threads. */
export function sharedWasmBuild(
  base64: string,
  hardened?: HardenedBuild,
): CoreBuild<SharedCoreExports> {
  return {
    kind: "wasm",
    shared: true,
    hardening: hardened?.start,
    createSource: (options) => wasmMemory({ ...options, shared: true }),
    bind: (setting) => bindShared(setting, compile(base64), hardened?.host(setting)),
    compile: () => compile(base64),
  };
}

/** An instance of the core for threads. */
export function bindShared(
  setting: CoreSetting,
  module: WebAssembly.Module,
  more?: object,
): SharedCoreExports {
  return bindWasm(setting, module, more) as SharedCoreExports;
}

function bindWasm(setting: CoreSetting, module: WebAssembly.Module, more?: object): CoreExports {
  const { memory, kind } = setting.source;
  if (!memory) throw new RangeError(`the wasm back end needs a WebAssembly.Memory, not ${kind}`);
  const { grow, pages, error } = hostOf(setting);
  const env = { memory, grow, pages, error, ...more };
  return new WebAssembly.Instance(module, { env }).exports as unknown as CoreExports;
}
