/**
 * What Node has and a browser does not, without an import, so that bundles for browsers do not
 * contain one. Undefined where there is no Node, or one older than 20.16.
 */

interface Modules {
  "node:fs": typeof import("node:fs");
  "node:module": typeof import("node:module");
  "node:worker_threads": typeof import("node:worker_threads");
}

export function nodeModule<N extends keyof Modules>(name: N): Modules[N] | undefined {
  return nodeProcess()?.getBuiltinModule?.(name) as Modules[N] | undefined;
}

export function nodeProcess(): NodeJS.Process | undefined {
  return (globalThis as { process?: NodeJS.Process }).process;
}
