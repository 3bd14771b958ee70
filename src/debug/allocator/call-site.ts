/** Where calls of a debug allocator come from. */
import type { Entry } from "../report/stack-table.ts";

/** A function that the program calls: its name in reports, and where its stacks begin. */
export interface CallSite {
  readonly call: string;
  readonly entry: Entry;
  /** The heap that its new blocks belong to; undefined: the default heap. */
  readonly heap?: number | undefined;
}
