/** Finds the functions with which a module allocates memory. */

import { checkMembers, checkObject } from "../../common/kinds.ts";
import { type OptionCheck, optionOf } from "../../common/option-table.ts";
import { type FunctionType, functionType, KIND, type Module } from "../module/module.ts";
import { functionNames } from "../module/names.ts";
import { I32 } from "../module/value-types.ts";
import { bindgenFind } from "./bindgen.ts";
import { type AllocatorFunction, type Role, roleOf, rolesToGive, type Source } from "./roles.ts";
import { relatedFind, shapesFind } from "./shapes.ts";

/** The check of the option `functions`. */
export const findCheck: OptionCheck = optionOf("functions", "an object", isObject);

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

/** A function by its index or its name in the module. */
export type Which = number | string;

/** How the allocator of a module is found. */
export interface FindOptions {
  /**
   * The allocator's functions, if you know them: the name of a role (`malloc`, `__rust_alloc`), and
   * the function or functions that have it. Then no others are looked for.
   */
  readonly functions?: Readonly<Record<string, Which | readonly Which[]>> | undefined;
}

/**
 * Finds the functions with which a module allocates: those that the options name; otherwise by
 * names and exports; otherwise by what the code looks like.
 *
 * @returns an empty array if none was found.
 * @throws RangeError if a function that the options name does not exist or has another type.
 * @example
 * for (const { role, index, sure } of findAllocator(readModule(bytes))) {
 *   console.log(role.name, index, sure);
 * }
 */
export function findAllocator(module: Module, options: FindOptions = {}): AllocatorFunction[] {
  checkMembers("module", "what readModule() returns", module, "imports", "exports", "sections");
  checkObject("options", options);
  const error = options.functions === undefined ? undefined : findCheck.refuse(options.functions);
  if (error) throw error;
  if (options.functions && Object.keys(options.functions).length > 0) {
    return givenFind(module, options.functions);
  }
  const found = namedFind(module);
  if (found.length > 0) return [...found, ...unnamedFind(module, found)];
  const behind = bindgenFind(module);
  return behind.length > 0 ? behind : shapesFind(module);
}

/**
 * A stripped module may export malloc and free, and have a realloc without a name. If that one kept
 * its body, it would read headers that blocks do not have any more.
 */
function unnamedFind(module: Module, found: readonly AllocatorFunction[]): AllocatorFunction[] {
  const indices = (name: string) =>
    found.filter((each) => each.role.name === name).map((each) => each.index);
  const [mallocs, frees] = [indices("malloc"), indices("free")];
  const isNamed = found.some((each) => each.source === "name");
  if (isNamed || mallocs.length === 0 || frees.length === 0) return [];
  const has = (name: string) => found.some((each) => each.role.name === name);
  return relatedFind(module, mallocs, frees).filter((each) => !has(each.role.name));
}

/** Whether a function has the type that its role needs. */
function roleFits(role: Role, type: FunctionType): boolean {
  const isI32 = (each: number) => each === I32;
  if (!type.params.every(isI32) || !type.results.every(isI32)) return false;
  return (
    type.params.length === role.params.length && type.results.length === (role.returns ? 1 : 0)
  );
}

/** Names of the name section first, then exports; a function counts once. */
function namedFind(module: Module): AllocatorFunction[] {
  const found = new Map<number, AllocatorFunction>();
  const add = (index: number, name: string, role: Role | undefined, source: Source) => {
    if (!role || found.has(index) || index >= module.functions.length) return;
    const fitting = roleFit(role, functionType(module, index));
    if (fitting) found.set(index, { index, name, role: fitting, source, sure: "certain" });
  };
  let index = 0;
  for (const { kind, name } of module.imports) {
    if (kind === KIND.function) add(index++, name, roleOf(name), "import");
  }
  for (const [at, name] of functionNames(module)) add(at, name, roleOf(name), "name");
  const exported = module.exports.filter((each) => each.kind === KIND.function);
  for (const each of exported) add(each.index, each.name, roleOf(each.name), "export");
  return [...found.values()];
}

/** The role with the parameters that are left: optimisers remove some that are always the same. */
function roleFit(role: Role, type: FunctionType): Role | undefined {
  if (roleFits(role, type)) return role;
  const forms = [role.params.slice(1), role.params.filter((param) => param !== "align")];
  if (role.params[0] !== "-") forms.shift();
  for (const params of forms) {
    const other = { ...role, params };
    if (params.length < role.params.length && roleFits(other, type)) return other;
  }
  return undefined;
}

function givenFind(
  module: Module,
  functions: Required<FindOptions>["functions"] & object,
): AllocatorFunction[] {
  const names = functionNames(module);
  const all = Object.entries(functions).flatMap(([roleName, which]) =>
    [which].flat().map((each) => [roleName, each] as const),
  );
  return all.map(([roleName, which]) => {
    const role = rolesToGive.find((each) => each.name === roleName);
    if (!role) throw new RangeError(`unknown function "${roleName}" (known: ${rolesKnown()})`);
    const index = functionNamed(module, which, names);
    if (!roleFits(role, functionType(module, index))) {
      const wanted = `(${role.params.length} × i32)${role.returns ? " → i32" : ""}`;
      throw new RangeError(`function ${which} cannot be ${roleName}: its type is not ${wanted}`);
    }
    const name = names.get(index) ?? `function ${index}`;
    return { index, name, role, source: "given", sure: "certain" };
  });
}

function rolesKnown(): string {
  return rolesToGive.map((each) => each.name).join(", ");
}

/** The index of the function that has this index or name. */
export function functionNamed(
  module: Module,
  which: Which,
  names: ReadonlyMap<number, string> = functionNames(module),
): number {
  const number = /^\d+$/.test(String(which)) ? Number(which) : Number.NaN;
  const isExport = (each: { kind: number; name: string }) =>
    each.kind === KIND.function && each.name === which;
  const index = Number.isInteger(number)
    ? number
    : ([...names].find(([, name]) => name === which)?.[0] ?? module.exports.find(isExport)?.index);
  if (index !== undefined && index >= 0 && index < module.functions.length) return index;
  throw new RangeError(`the module has no function ${which}`);
}
