/** All that can be found out about a module without its sources: what `terrane inspect` prints. */
import { PAGE_BYTES } from "../../common/constants.ts";
import { KIND, type Module, SECTION_NAMES } from "../module/module.ts";
import { functionNames } from "../module/names.ts";
import { featuresOf } from "./features.ts";
import { type Proof, proveAllocator } from "./prove.ts";
import { languageOf, producersRead } from "./toolchain.ts";

/**
 * What can be done: `replace` the allocator is proven and nothing else touches it, `watch` parts of
 * it are elsewhere in the program, `none` there is nothing to replace, `undecided` it is not known.
 */
export type Verdict = "replace" | "watch" | "none" | "undecided";

/** A section and its size. */
export interface SectionSize {
  /** Its name; of a custom section, the name that it has in the file. */
  readonly name: string;
  readonly bytes: number;
}

/** What a module consists of. */
export interface Inspection {
  readonly bytes: number;
  /** The compiler, by the producers section or by what its modules have. */
  readonly toolchain: readonly string[];
  /** Features beyond the first version of WebAssembly. */
  readonly features: readonly string[];
  readonly sections: readonly SectionSize[];
  readonly functions: { readonly imported: number; readonly own: number; readonly named: number };
  /** Sizes in bytes; undefined if there is no memory. */
  readonly memory:
    | { readonly first: number; readonly most: number | undefined; readonly imported: boolean }
    | undefined;
  readonly proof: Proof;
  readonly verdict: Verdict;
  /** Why, and what that means. */
  readonly because: string;
}

/** Looks at everything in a module, and tries its allocator. */
export async function inspectModule(module: Module): Promise<Inspection> {
  const proof = await proveAllocator(module);
  return {
    bytes: module.bytes.length,
    toolchain: [...new Set([...producersRead(module), ...languageOf(module)])],
    features: featuresOf(module),
    sections: module.sections.map(({ id, name, start, end }) => {
      return { name: name || (SECTION_NAMES[id] as string), bytes: end - start };
    }),
    functions: {
      imported: module.importedFunctions,
      own: module.bodies.length,
      named: functionNames(module).size,
    },
    memory: memoryOf(module),
    proof,
    ...verdictOf(proof),
  };
}

function memoryOf(module: Module): Inspection["memory"] {
  const [memory] = module.memories;
  if (!memory) return undefined;
  const { min, max } = memory.limits;
  const most = max === undefined ? undefined : max * PAGE_BYTES;
  return { first: min * PAGE_BYTES, most, imported: memory.imported };
}

function verdictOf(proof: Proof): { verdict: Verdict; because: string } {
  const { outcome, reason } = proof;
  if (outcome === "undecided") return { verdict: "undecided", because: reason };
  if (outcome !== "proven") return { verdict: "none", because: reason };
  const left = proof.leftovers.filter((each) => !each.initialiser);
  const failed = proof.functions.filter((each) => each.failure !== undefined);
  if (left.length > 0) {
    const many = left.length === 1 ? "1 other function is" : `${left.length} other functions are`;
    return { verdict: "watch", because: `it is proven, but ${many} part of it` };
  }
  if (failed.length > 0) {
    const names = failed.map((each) => each.name).join(", ");
    return { verdict: "watch", because: `malloc and free are proven, but not ${names}` };
  }
  if (proof.state.length === 0 && proof.stateGlobals.length === 0) {
    const because = "malloc and free are proven, but where their state is was not found";
    return { verdict: "watch", because };
  }
  return { verdict: "replace", because: "it is proven, and nothing else touches its state" };
}

/** Whether a module can be run as a program: it has WASI's entry. */
export function isProgram(module: Module): boolean {
  return module.exports.some((each) => each.kind === KIND.function && each.name === "_start");
}
