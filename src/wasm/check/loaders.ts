/**
 * Other people's loaders: how a checked or overridden module comes into what instantiates modules
 * on its own.
 */

import type { Overridden } from "../override/override.ts";
import { Checker } from "./checker.ts";

/** Settings for the Module object of emscripten: see createEmscriptenHooks. */
export interface EmscriptenHooks {
  /** For builds that make the memory in JavaScript; others pay no heed to it. Of a checker. */
  readonly wasmMemory?: WebAssembly.Memory;
  readonly instantiateWasm: (
    imports: WebAssembly.Imports,
    done: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void,
  ) => Record<string, never>;
}

/**
 * What an emscripten build is started with, so that it loads the checked module, or the overridden
 * one of the merged form. When that cannot be instantiated, the rejection is not handled:
 * emscripten has no way to hear of it.
 *
 * @example
 * const checker = new Checker(instrument(bytes));
 * const checked = await sqlite3InitModule({ ...createEmscriptenHooks(checker), print });
 * const overridden = await sqlite3InitModule(createEmscriptenHooks(override(bytes)));
 */
export function createEmscriptenHooks(module: Checker | Overridden): EmscriptenHooks {
  if (!(module instanceof Checker)) return hooksOf(module.bytes, (imports) => imports);
  const { instrumented, memory } = module;
  const hooks = hooksOf(
    instrumented.bytes,
    (imports) => module.importObject(imports),
    (instance) => module.attach(instance),
  );
  return { wasmMemory: memory, ...hooks };
}

function hooksOf(
  bytes: Uint8Array<ArrayBuffer>,
  extend: (imports: WebAssembly.Imports) => WebAssembly.Imports,
  attach?: (instance: WebAssembly.Instance) => void,
): EmscriptenHooks {
  return {
    instantiateWasm(imports, done) {
      WebAssembly.instantiate(bytes, extend(imports)).then((loaded) => {
        attach?.(loaded.instance);
        done(loaded.instance, loaded.module);
      });
      return {};
    },
  };
}

/** The checked modules that loaders may ask for at the moment, and whether they have. */
const awaited = new Map<WebAssembly.Module, { checker: Checker; isLoaded: boolean }>();

/**
 * Runs a loader that makes the import object itself, as wasm-bindgen's `init` does. `load` gets the
 * checked module; while it runs, `new WebAssembly.Instance` and `WebAssembly.instantiate` add to
 * that module's imports what the checks need. Other modules do not notice.
 *
 * @throws what `load` throws, and RangeError when it has not instantiated the module.
 * @example
 * await loadChecked(checker, (module) => init({ module_or_path: module }));
 */
export async function loadChecked<T>(
  checker: Checker,
  load: (module: WebAssembly.Module) => T | Promise<T>,
): Promise<T> {
  const module = await WebAssembly.compile(checker.instrumented.bytes);
  const entry = { checker, isLoaded: false };
  const restore = awaited.size === 0 ? enginePatch() : undefined;
  restoreLast = restore ?? restoreLast;
  awaited.set(module, entry);
  try {
    const result = await load(module);
    if (entry.isLoaded) return result;
    throw new RangeError("the loader has not instantiated the checked module");
  } finally {
    awaited.delete(module);
    if (awaited.size === 0) restoreLast();
  }
}

/** Undoes the patch that is in place. */
let restoreLast: () => void = () => undefined;

/** Puts our functions in the place of the engine's; answers what puts these back. */
function enginePatch(): () => void {
  const { Instance, instantiate } = WebAssembly;
  WebAssembly.Instance = new Proxy(Instance, {
    construct: (target, [module, imports]: [WebAssembly.Module, WebAssembly.Imports?]) =>
      attached(module, new target(module, extended(module, imports))),
  });
  const instantiateExtended = async (
    source: WebAssembly.Module | BufferSource,
    imports?: WebAssembly.Imports,
  ) => {
    if (!(source instanceof WebAssembly.Module)) return instantiate(source, imports);
    return attached(source, await instantiate(source, extended(source, imports)));
  };
  WebAssembly.instantiate = instantiateExtended as typeof instantiate;
  return () => {
    WebAssembly.Instance = Instance;
    WebAssembly.instantiate = instantiate;
  };
}

function extended(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
  return awaited.get(module)?.checker.importObject(imports) ?? imports;
}

function attached(module: WebAssembly.Module, instance: WebAssembly.Instance) {
  const entry = awaited.get(module);
  if (entry === undefined) return instance;
  entry.isLoaded = true;
  entry.checker.attach(instance);
  return instance;
}
