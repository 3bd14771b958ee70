/** What the command line orders from the thread of a program, and what comes back. */
import type { MessagePort } from "node:worker_threads";
import type { LeakReports } from "../wasm/check/checker.ts";
import type { Report } from "../wasm/check/report.ts";
import type { Frame } from "../wasm/symbols/frame.ts";
import type { Ending } from "./ending.ts";
import type { AllocatorFlags, WasiFlags } from "./options.ts";

/** The options of `terrane check`. */
export interface CheckFlags extends WasiFlags, AllocatorFlags {
  readonly halt?: true;
  readonly json?: true;
  readonly leaks: boolean;
  readonly suppressions?: string;
  readonly uninit?: true;
  readonly maxMemory?: number;
}

/** How a checked program has ended; without code, trap and signal it was halted. */
export interface CheckResult extends Omit<Ending, "trap"> {
  readonly trap?:
    | {
        readonly text: string;
        /** Where it was, in bytes from the start of the file. */
        readonly offset?: number | undefined;
        /** The calls that led there, innermost first. */
        readonly stack: readonly Frame[];
      }
    | undefined;
  readonly leaks?: LeakReports | undefined;
  /** How often each mistake was made: reports are sent when it is made first. */
  readonly counts?: readonly number[];
  /** Why reports could not be written. */
  readonly unwritten?: string | undefined;
}

/** The options of `terrane run`. */
export interface RunFlags extends WasiFlags, AllocatorFlags {
  readonly allocator: "terrane" | "terrane-js" | "own";
  readonly stats?: true;
  readonly trace?: string;
  readonly maxMemory?: number;
}

/** How a program has ended. */
export interface RunResult extends Ending {
  /** What --stats prints. */
  readonly stats?: string | undefined;
  /** Why the trace could not be written. */
  readonly unwritten?: string | undefined;
}

/** What a thread is to do. */
export type ThreadOrder = {
  readonly path: string;
  readonly args: readonly string[];
} & (
  | { readonly command: "check"; readonly flags: CheckFlags }
  | { readonly command: "run"; readonly flags: RunFlags }
);

/** What a thread sends: findings, then one of the others. */
export type ThreadMessage =
  | { readonly kind: "found"; readonly found: Report }
  /** A file that is to be removed if a signal ends the command. */
  | { readonly kind: "temporary"; readonly path: string }
  /** What the user should know beside the reports. */
  | { readonly kind: "note"; readonly text: string }
  | { readonly kind: "usage"; readonly text: string }
  | { readonly kind: "failed"; readonly text: string }
  | { readonly kind: "ended"; readonly result: CheckResult | RunResult };

export interface ThreadData {
  readonly order: ThreadOrder;
  readonly port: MessagePort;
}
