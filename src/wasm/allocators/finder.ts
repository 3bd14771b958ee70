/** Finds the functions with which a module allocates memory. */

import { type FunctionType, functionType, KIND, type Module } from "../module/module.ts";
import { functionNames } from "../module/names.ts";
import { I32 } from "../module/value-types.ts";
import { bindgenFind } from "./bindgen.ts";
import { type AllocatorFunction, type Role, roleOf, rolesToGive, type Source } from "./roles.ts";
import { kinFind, shapesFind } from "./shapes.ts";

/** A function's index, or its name in the module. */
export type Which = number | string;

export interface FindOptions {
  /**
   * Functions that the user knows: C's or Rust's name of the role, and which function has it, or
   * several. They are believed, and nothing else is looked for.
   */
  readonly functions?: Readonly<Record<string, Which | readonly Which[]>> | undefined;
}

/**
 * The allocator functions of a module: what the user names; else what names and exports tell; else
 * what the code looks like.
 *
 * @throws RangeError when a function that the user names is not there or has another type.
 * @example
 * for (const { role, name, sure } of findAllocator(readModule(bytes))) console.log(role.name,
 * sure);
 */
export function findAllocator(module: Module, options: FindOptions = {}): AllocatorFunction[] {
  if (options.functions && Object.keys(options.functions).length > 0) {
    return givenFind(module, options.functions);
  }
  const found = namedFind(module);
  if (found.length > 0) return [...found, ...kinAdd(module, found)];
  const behind = bindgenFind(module);
  return behind.length > 0 ? behind : shapesFind(module);
}

/**
 * A stripped module exports malloc and free, and calls its realloc by no name: if that kept its own
 * way of working, it would look for headers that are not there.
 */
function kinAdd(module: Module, found: readonly AllocatorFunction[]): AllocatorFunction[] {
  const indices = (name: string) =>
    found.filter((each) => each.role.name === name).map((each) => each.index);
  const [mallocs, frees] = [indices("malloc"), indices("free")];
  const isNamed = found.some((each) => each.source === "name");
  if (isNamed || mallocs.length === 0 || frees.length === 0) return [];
  const has = (name: string) => found.some((each) => each.role.name === name);
  return kinFind(module, mallocs, frees).filter((each) => !has(each.role.name));
}

/** Whether a function has the type that its role needs. */
function roleFits(role: Role, type: FunctionType): boolean {
  const isI32 = (each: number) => each === I32;
  if (!type.params.every(isI32) || !type.results.every(isI32)) return false;
  return (
    type.params.length === role.params.length && type.results.length === (role.answers ? 1 : 0)
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

/** The role as this function has it: optimisers remove a `self` that is always the same. */
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
      const wanted = `(${role.params.length} × i32)${role.answers ? " → i32" : ""}`;
      throw new RangeError(`function ${which} cannot be ${roleName}: its type is not ${wanted}`);
    }
    const name = names.get(index) ?? `function ${index}`;
    return { index, name, role, source: "given", sure: "certain" };
  });
}

function rolesKnown(): string {
  return rolesToGive.map((each) => each.name).join(", ");
}

/** The function that a user means by an index or a name. */
export function functionNamed(
  module: Module,
  which: Which,
  names: ReadonlyMap<number, string> = functionNames(module),
): number {
  const number = Number(which);
  const isExport = (each: { kind: number; name: string }) =>
    each.kind === KIND.function && each.name === which;
  const index = Number.isInteger(number)
    ? number
    : ([...names].find(([, name]) => name === which)?.[0] ?? module.exports.find(isExport)?.index);
  if (index !== undefined && index >= 0 && index < module.functions.length) return index;
  throw new RangeError(`the module has no function ${which}`);
}
