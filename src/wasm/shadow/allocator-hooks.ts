/** The bodies that allocator functions get in a checked program: they call the host. */

import { argument, trapIfNull } from "../allocators/arguments.ts";
import type { Action, AllocatorFunction, Param, Role } from "../allocators/roles.ts";
import type { ModuleEditor } from "../module/editor.ts";
import { op } from "../module/opcodes.ts";
import { type CodeWriter, i32s } from "../module/writer.ts";

/** The module from which changed programs import what they need. */
export const HOST_MODULE = "terrane";

/** The checked module exports its globals under this name and their index. */
export const GLOBAL_EXPORT = "terrane:global:";

/** A parameter of a hook, and its value if the program's function has no such parameter. */
interface HookParam {
  readonly param: Param | "function" | "context";
  readonly missing: number;
}

/** -1: the size is not known. */
const SIZE: HookParam = { param: "size", missing: -1 };
const COUNT: HookParam = { param: "count", missing: 1 };
/** 0: the usual alignment. */
const ALIGN: HookParam = { param: "align", missing: 0 };
const PTR: HookParam = { param: "ptr", missing: 0 };
const OLD: HookParam = { param: "old", missing: -1 };
const OUT: HookParam = { param: "out", missing: 0 };
/** The number of the allocator function that calls, and the hash of its callers. */
const CALLER: readonly HookParam[] = [
  { param: "function", missing: 0 },
  { param: "context", missing: 0 },
];

/** The parameters of the import for each action. */
const signatures: Readonly<Record<Exclude<Action, "refuse">, readonly HookParam[]>> = {
  alloc: [SIZE, ALIGN, ...CALLER],
  zero: [COUNT, SIZE, ALIGN, ...CALLER],
  free: [PTR, SIZE, ALIGN, ...CALLER],
  realloc: [PTR, COUNT, SIZE, OLD, ALIGN, ...CALLER],
  posix: [OUT, ALIGN, SIZE, ...CALLER],
  usable: [PTR],
};

/**
 * The functions of the host that a checked program calls. Numbers are signed. `caller` is the
 * number of the allocator function that calls; `context` a hash of the latest calls.
 */
export interface AllocatorHooks {
  alloc(size: number, align: number, caller: number, context: number): number;
  zero(count: number, size: number, align: number, caller: number, context: number): number;
  free(ptr: number, size: number, align: number, caller: number, context: number): void;
  realloc(
    ptr: number,
    count: number,
    size: number,
    old: number,
    align: number,
    caller: number,
    context: number,
  ): number;
  posix(out: number, align: number, size: number, caller: number, context: number): number;
  usable(ptr: number): number;
}

type HookIndices = Readonly<Record<Exclude<Action, "refuse">, number>>;

/** Imports the host's functions; returns their indices. */
export function hooksImport(editor: ModuleEditor): HookIndices {
  const entries = Object.entries(signatures).map(([action, params]) => {
    const results = action === "free" ? 0 : 1;
    return [action, editor.importFunction(HOST_MODULE, action, i32s(params.length), i32s(results))];
  });
  return Object.fromEntries(entries) as HookIndices;
}

/** Gives an allocator function a body that calls the host. `context` is a global. */
export function bodyReplace(
  editor: ModuleEditor,
  found: AllocatorFunction,
  caller: number,
  hooks: HookIndices,
  context: number,
): void {
  const { role, index } = found;
  editor.replaceFunction(index, (code) => {
    if (role.action === "refuse") code.const(0);
    else callEmit(code, role, hooks[role.action], signatures[role.action], caller, context);
    if (role.name.startsWith("operator new") && !role.params.includes("-")) trapIfNull(code);
  });
}

function callEmit(
  code: CodeWriter,
  role: Role,
  hook: number,
  params: readonly HookParam[],
  caller: number,
  context: number,
): void {
  for (const { param, missing } of params) {
    if (param === "function") code.const(caller);
    else if (param === "context") code.with(op.globalGet, context);
    else argument(code, role, param, missing);
  }
  code.call(hook);
}
