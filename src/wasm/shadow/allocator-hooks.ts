/**
 * The new bodies of allocator functions: they bring their arguments into one order and call ours.
 */

import { argument, trapIfNull } from "../allocators/arguments.ts";
import type { Action, AllocatorFunction, Param, Role } from "../allocators/roles.ts";
import type { ModuleEditor } from "../module/editor.ts";
import { op } from "../module/opcodes.ts";
import { type CodeWriter, i32s } from "../module/writer.ts";

/** The module under which a checked program imports what it needs. */
export const HOST_MODULE = "terrane";

/** Exports of the checked module by which its globals are looked at: this and the index. */
export const GLOBAL_EXPORT = "terrane:global:";

/** What a missing argument is passed as: alignment 0 is the usual one, size -1 is not told. */
interface HookParam {
  readonly param: Param | "function" | "context";
  readonly missing: number;
}

const SIZE: HookParam = { param: "size", missing: -1 };
const COUNT: HookParam = { param: "count", missing: 1 };
const ALIGN: HookParam = { param: "align", missing: 0 };
const PTR: HookParam = { param: "ptr", missing: 0 };
const OLD: HookParam = { param: "old", missing: -1 };
const OUT: HookParam = { param: "out", missing: 0 };
/** Which of the found functions calls, and the hash of its callers. */
const WHO: readonly HookParam[] = [
  { param: "function", missing: 0 },
  { param: "context", missing: 0 },
];

/** What each action's import takes, in this order. */
const signatures: Readonly<Record<Exclude<Action, "refuse">, readonly HookParam[]>> = {
  alloc: [SIZE, ALIGN, ...WHO],
  zero: [COUNT, SIZE, ALIGN, ...WHO],
  free: [PTR, SIZE, ALIGN, ...WHO],
  realloc: [PTR, COUNT, SIZE, OLD, ALIGN, ...WHO],
  posix: [OUT, ALIGN, SIZE, ...WHO],
  usable: [PTR],
};

/** The functions of the host, as a checked program calls them: numbers come signed. */
export interface AllocatorHooks {
  alloc(size: number, align: number, who: number, context: number): number;
  zero(count: number, size: number, align: number, who: number, context: number): number;
  free(ptr: number, size: number, align: number, who: number, context: number): void;
  realloc(
    ptr: number,
    count: number,
    size: number,
    old: number,
    align: number,
    who: number,
    context: number,
  ): number;
  posix(out: number, align: number, size: number, who: number, context: number): number;
  usable(ptr: number): number;
}

type HookIndices = Readonly<Record<Exclude<Action, "refuse">, number>>;

/** Imports the host's functions. */
export function hooksImport(editor: ModuleEditor): HookIndices {
  const entries = Object.entries(signatures).map(([action, params]) => {
    const results = action === "free" ? 0 : 1;
    return [action, editor.importFunction(HOST_MODULE, action, i32s(params.length), i32s(results))];
  });
  return Object.fromEntries(entries) as HookIndices;
}

/** Gives a found function a body that calls the host. `context` is the global with the callers. */
export function hookPlace(
  editor: ModuleEditor,
  found: AllocatorFunction,
  who: number,
  hooks: HookIndices,
  context: number,
): void {
  const { role, index } = found;
  editor.replaceFunction(index, (code) => {
    if (role.action === "refuse") code.const(0);
    else callEmit(code, role, hooks[role.action], signatures[role.action], who, context);
    if (role.name.startsWith("operator new") && !role.params.includes("-")) trapIfNull(code);
  });
}

function callEmit(
  code: CodeWriter,
  role: Role,
  hook: number,
  params: readonly HookParam[],
  who: number,
  context: number,
): void {
  for (const { param, missing } of params) {
    if (param === "function") code.const(who);
    else if (param === "context") code.with(op.globalGet, context);
    else argument(code, role, param, missing);
  }
  code.call(hook);
}
