/** What is replaced without a proof, because the user says so: what has the names, or the looks. */
import { type FindOptions, findAllocator } from "../allocators/finder.ts";
import type { AllocatorFunction } from "../allocators/roles.ts";
import type { Module } from "../module/module.ts";
import { functionNames } from "../module/names.ts";
import { forwardsTo, leadsTo, leftoversFind, liveFind } from "./live.ts";
import { functionText } from "./plan.ts";

/** new[] without exceptions calls new[], which calls new, which calls malloc. */
const OPERATOR_DEPTH = 4;

/** Functions that are taken for an allocator, and those of them that keep their bodies. */
export interface Trusted {
  readonly functions: readonly AllocatorFunction[];
  readonly kept: ReadonlySet<number>;
  /** In words, what else seems to be a part of the allocator; undefined if there is nothing. */
  readonly leftovers: string | undefined;
}

/**
 * The functions that the options name, or else those that have an allocator's names or shapes.
 *
 * @throws RangeError if a function that the options name does not exist or has another type.
 */
export function trustedFind(module: Module, options: FindOptions): Trusted {
  const functions = findAllocator(module, options).filter((each) => each.source !== "import");
  const kept = keptFind(module, functions);
  const replaced = new Set(functions.map((each) => each.index).filter((each) => !kept.has(each)));
  const left = leftoversFind(module, liveFind(module, replaced), replaced);
  const names = functionNames(module);
  const list = left.map((index) => functionText(index, names)).join(", ");
  return { functions, kept, leftovers: list || undefined };
}

/**
 * C++'s operators mostly call malloc: those keep their bodies, with the handlers, exceptions and
 * counters that they have. A delete that only calls free has none of these, and is replaced.
 */
function keptFind(module: Module, found: readonly AllocatorFunction[]): Set<number> {
  const isOperator = ({ role }: AllocatorFunction) => /^new/.test(role.family);
  const indices = (list: readonly AllocatorFunction[]) => new Set(list.map((each) => each.index));
  const targets = indices(found.filter((each) => !isOperator(each)));
  const frees = indices(found.filter(({ role }) => role.name === "free"));
  const kept = found.filter((each) => {
    if (!isOperator(each) || frees.has(forwardsTo(module, each.index) ?? -1)) return false;
    return leadsTo(module, each.index, targets, OPERATOR_DEPTH);
  });
  return new Set(kept.map((each) => each.index));
}
