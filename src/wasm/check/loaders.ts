/** Brings a checked or overridden module into loaders that instantiate modules themselves. */

import { wrongKind } from "../../common/errors.ts";
import { checkMembers } from "../../common/kinds.ts";
import type { Overridden } from "../override/override.ts";
import { Checker } from "./checker.ts";

/** Settings for the Module object of emscripten; see `createEmscriptenHooks`. */
export interface EmscriptenHooks {
  /** The checker's memory, for builds that make the memory in JavaScript; others ignore it. */
  readonly wasmMemory?: WebAssembly.Memory;
  /** Instantiates the module; emscripten calls it. */
  readonly instantiateWasm: (
    imports: WebAssembly.Imports,
    done: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void,
  ) => Record<string, never>;
}

/**
 * Creates settings for the Module object of an emscripten build, which make it load the checked
 * module, or an overridden module of the merged form.
 *
 * If the module cannot be instantiated, the promise that is rejected is not handled, since
 * emscripten cannot be told.
 *
 * @example
 * const checker = new Checker(instrument(bytes));
 * const checked = await sqlite3InitModule({ ...createEmscriptenHooks(checker), print });
 * const overridden = await sqlite3InitModule(createEmscriptenHooks(override(bytes)));
 */
export function createEmscriptenHooks(module: Checker | Overridden): EmscriptenHooks {
  checkMembers("module", "a Checker, or what override() returns", module);
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

/** The checked modules that loaders may instantiate now, and whether they have done so. */
const awaited = new Map<WebAssembly.Module, { checker: Checker; isLoaded: boolean }>();

/**
 * Runs a loader that makes the import object itself, as wasm-bindgen's `init` does. While it runs,
 * `new WebAssembly.Instance` and `WebAssembly.instantiate` add what the checks need to the imports
 * of the checked module. Other modules are not affected.
 *
 * @param load gets the checked module, and must instantiate it.
 * @returns what `load` returns.
 * @throws what `load` throws, and RangeError if it has not instantiated the module.
 * @example
 * await loadChecked(checker, (module) => init({ module_or_path: module }));
 */
export async function loadChecked<T>(
  checker: Checker,
  load: (module: WebAssembly.Module) => T | Promise<T>,
): Promise<T> {
  if (!(checker instanceof Checker)) throw wrongKind("checker", "a Checker", checker);
  if (typeof load !== "function") throw wrongKind("load", "a function", load);
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

/** Restores the engine's functions. */
let restoreLast: () => void = () => undefined;

/** Replaces two functions of the engine; returns a function that restores them. */
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
