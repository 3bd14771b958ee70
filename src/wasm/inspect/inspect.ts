/** All that can be found out about a module without its sources: what `terrane inspect` prints. */
import { PAGE_BYTES } from "../../common/constants.ts";
import { KIND, type Module, SECTION_NAMES } from "../module/module.ts";
import { functionNames } from "../module/names.ts";
import { decideAllocator, type Verdict } from "../override/decide.ts";
import type { Proof } from "../proof/prove.ts";
import { featuresOf } from "./features.ts";
import { languageOf, producersRead } from "./toolchain.ts";

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
  /** Whether blocks need the headers of the module's allocator if another one replaces it. */
  readonly headers: boolean;
  readonly verdict: Verdict;
  /** Why, and what that means. */
  readonly because: string;
}

/** Looks at everything in a module, and tries its allocator. */
export function inspectModule(module: Module): Inspection {
  const { proof, verdict, because, header } = decideAllocator(module);
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
    proof: proof as Proof,
    headers: header !== undefined,
    verdict,
    because,
  };
}

function memoryOf(module: Module): Inspection["memory"] {
  const [memory] = module.memories;
  if (!memory) return undefined;
  const { min, max } = memory.limits;
  const most = max === undefined ? undefined : max * PAGE_BYTES;
  return { first: min * PAGE_BYTES, most, imported: memory.imported };
}

/** Whether a module can be run as a program: it has WASI's entry. */
export function isProgram(module: Module): boolean {
  return module.exports.some((each) => each.kind === KIND.function && each.name === "_start");
}
