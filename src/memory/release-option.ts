/** The option `release` of allocators: a function that only those programs carry that use it. */

import { typeName } from "../common/errors.ts";
import type { MemorySource } from "./source.ts";

/** A value for the option `release` of heaps: `tryOsPages` or `withOsPages`. */
export type Releasing = (source: MemorySource) => MemorySource;

/** What is wrong with a value for the option `release`. */
export function releaseError(value: unknown): Error | undefined {
  if (value === false || typeof value === "function") return undefined;
  const name = value === true ? "withOsPages" : "tryOsPages";
  const given = value === true || value === "auto" ? JSON.stringify(value) : typeName(value);
  return new TypeError(
    `release must be a function that is imported, not ${given}: ` +
      `import { ${name} } from "terrane/memory" and pass { release: ${name} }`,
  );
}
