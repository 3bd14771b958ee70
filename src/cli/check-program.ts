/** What `terrane check` does: runs a program under the checker, and prints the reports. */
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import type { AllocatorFunction } from "../wasm/allocators/roles.ts";
import { Checker, type LeakReports } from "../wasm/check/checker.ts";
import { type Instrumented, instrument } from "../wasm/check/instrument.ts";
import { bytesText, formatReport, frameText, type Report } from "../wasm/check/report.ts";
import { CheckHalt } from "../wasm/check/reporter.ts";
import { readSuppressions, type Suppression } from "../wasm/check/suppress.ts";
import { sourceMapUrl } from "../wasm/symbols/sourcemap.ts";
import { Symbols } from "../wasm/symbols/symbols.ts";
import { EXIT_FOUND, EXIT_TRAP } from "./exit-codes.ts";
import { type AllocatorFlags, orUsageError, type WasiFlags } from "./options.ts";
import { fileRead, requireValid, requireWasiCommand, withFileName } from "./program.ts";
import { wasiCreate, wasiImports } from "./wasi.ts";
import { buffersChecked } from "./wasi-buffers.ts";

/** The options of the command. */
export interface CheckFlags extends WasiFlags, AllocatorFlags {
  readonly halt?: true;
  readonly json?: true;
  readonly leaks: boolean;
  readonly suppressions?: string;
  readonly uninit?: true;
}

/** Runs a program under the checker; returns the exit code. */
export function checkProgram(
  path: string,
  args: readonly string[],
  flags: CheckFlags,
  command: Command,
): Promise<number> {
  const run = orUsageError(command, () => {
    const instrumented = programInstrument(path, flags);
    return new CheckRun(path, args, flags, instrumented, suppressionsOf(flags));
  });
  return run.run();
}

function programInstrument(path: string, flags: CheckFlags): Instrumented {
  const bytes = fileRead(path);
  return withFileName(path, () => {
    const instrumented = instrument(bytes, {
      functions: flags.function,
      guess: true,
      uninitialised: flags.uninit,
    });
    requireValid(path, bytes);
    requireWasiCommand(path, instrumented.module);
    guessCheck(instrumented.functions, flags);
    return instrumented;
  });
}

/** A wrong guess would lead to false reports, so the user has to confirm it. */
function guessCheck(functions: readonly AllocatorFunction[], flags: CheckFlags): void {
  if (functions.length === 0 && !flags.guess) {
    throw new RangeError(
      "no allocator was found; name its functions with --function, or check only accesses " +
        "outside of memory with --guess",
    );
  }
  if (flags.guess || functions.every((each) => each.sure === "certain")) return;
  const part = functions.some((each) => each.sure === "guess") ? "a part of" : "all of";
  const list = functions.map((each) => `--function ${each.role.name}=${each.index}`).join(" ");
  throw new RangeError(
    `the module has no names of functions; these look like ${part} its allocator: ${list}; ` +
      "confirm with these options or with --guess",
  );
}

function suppressionsOf(flags: CheckFlags): Suppression[] {
  if (flags.suppressions === undefined) return [];
  const text = new TextDecoder().decode(fileRead(flags.suppressions));
  try {
    return readSuppressions(text);
  } catch (error) {
    throw new Error(`${flags.suppressions}: ${(error as Error).message}`);
  }
}

/** The text of the program's source map, if the program names one and it can be read. */
function sourceMapRead(path: string, instrumented: Instrumented): string | undefined {
  const url = sourceMapUrl(instrumented.module);
  if (url === undefined) return undefined;
  try {
    if (url.startsWith("data:")) return atob(url.slice(url.indexOf(",") + 1));
    const file = url.startsWith("file:") ? fileURLToPath(url) : resolve(dirname(path), url);
    return new TextDecoder().decode(fileRead(file));
  } catch {
    return undefined;
  }
}

/** Functions that end a program: if only these run, the program has no local variables. */
const ENDING = /^(_start|exit|_Exit|__wasi_proc_exit|proc_exit|__wasm_call_dtors)$/;

class CheckRun {
  readonly #path: string;
  readonly #args: readonly string[];
  readonly #flags: CheckFlags;
  readonly #instrumented: Instrumented;
  readonly #checker: Checker;
  /** Whether the program ended while its functions were running. */
  #endedInside = false;
  #trapped: string | undefined;

  constructor(
    path: string,
    args: readonly string[],
    flags: CheckFlags,
    instrumented: Instrumented,
    suppressions: readonly Suppression[],
  ) {
    this.#path = path;
    this.#args = args;
    this.#flags = flags;
    this.#instrumented = instrumented;
    this.#checker = new Checker(instrumented, {
      onReport: (report) => this.#report(report),
      halt: flags.halt,
      javascript: false,
      suppressions,
      sourceMap: sourceMapRead(path, instrumented),
    });
  }

  /** Runs the program and prints the reports; returns the exit code. */
  async run(): Promise<number> {
    const code = await this.#start();
    const ended = this.#trapped === undefined && code !== undefined;
    const leaks = ended && this.#flags.leaks ? this.#checker.leaks(this.#endedInside) : undefined;
    if (this.#flags.json) this.#jsonPrint(code, leaks);
    else this.#summaryPrint(leaks);
    const real = leaks?.reports.filter((report) => report.kind !== "possible-leak") ?? [];
    if (this.#checker.reports.length > 0 || real.length > 0) return EXIT_FOUND;
    return code ?? EXIT_TRAP;
  }

  /** Returns the program's exit code; undefined if it was halted or has trapped. */
  async #start(): Promise<number | undefined> {
    const checker = this.#checker;
    const stdout = this.#flags.json ? 2 : 1;
    const wasi = await wasiCreate({
      ...this.#flags,
      ...{ program: this.#path, args: this.#args, stdout },
    });
    const functions = buffersChecked(wasi.wasiImport as WebAssembly.ModuleImports, checker);
    // Start-up code has the arguments in local variables, which have ended when leaks are searched.
    this.#keep(functions, "args_get");
    this.#keep(functions, "environ_get");
    const { proc_exit: exit } = functions;
    functions.proc_exit = (code: number) => {
      this.#endedInside = this.#isInside();
      return (exit as (code: number) => never)(code);
    };
    const module = await WebAssembly.compile(this.#instrumented.bytes);
    const imports = checker.importObject(wasiImports(functions));
    const instance = await WebAssembly.instantiate(module, imports);
    checker.attach(instance);
    try {
      return wasi.start(instance) as unknown as number;
    } catch (error) {
      if (!(error instanceof CheckHalt)) this.#trapped = this.#trapText(error);
      return undefined;
    }
  }

  #keep(functions: WebAssembly.ModuleImports, name: string): void {
    const call = functions[name] as (pointers: number, texts: number) => number;
    functions[name] = (pointers: number, texts: number) => {
      this.#checker.keep(pointers >>> 0);
      this.#checker.keep(texts >>> 0);
      return call(pointers, texts);
    };
  }

  /** Whether functions are running besides _start and those that end a program. */
  #isInside(): boolean {
    const symbols = new Symbols(this.#instrumented.module);
    const lines = (new Error().stack ?? "").split("\n");
    const indices = lines.flatMap((line) => /wasm-function\[(\d+)\]/.exec(line)?.[1] ?? []);
    return indices.some((index) => {
      const old = this.#instrumented.originalFunction(Number(index));
      return old !== undefined && !ENDING.test(symbols.name(old));
    });
  }

  #trapText(error: unknown): string {
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
    const stack = this.#checker.stackOf(error).map((frame) => `    at ${frameText(frame)}`);
    return [`trap: ${error.message}`, ...stack].join("\n");
  }

  #report(report: Report): void {
    if (!this.#flags.json) process.stderr.write(`${formatReport(report)}\n\n`);
  }

  #summaryPrint(leaks: LeakReports | undefined): void {
    const lines: string[] = [];
    if (this.#trapped) lines.push(this.#trapped, "");
    for (const report of leaks?.reports ?? []) lines.push(formatReport(report), "");
    lines.push(`terrane check: ${this.#summary(leaks)}`);
    process.stderr.write(`${lines.join("\n")}\n`);
  }

  #summary(leaks: LeakReports | undefined): string {
    const { reports } = this.#checker;
    const many = (count: number, what: string) => `${count} ${what}${count === 1 ? "" : "s"}`;
    const parts = [reports.length === 0 ? "no mistakes" : many(reports.length, "mistake")];
    if (!leaks) return parts.join();
    const [count, size] = leakSum(leaks, ["leak", "indirect-leak"]);
    const [possible, possibleSize] = leakSum(leaks, ["possible-leak"]);
    if (count === 0) parts.push("no leaks");
    else parts.push(`${many(count, "block")} of ${bytesText(size)} leaked`);
    if (possible > 0) {
      parts.push(`${many(possible, "block")} of ${bytesText(possibleSize)} possibly leaked`);
    }
    const { blocks: held, bytes } = leaks.reachable;
    if (held > 0) parts.push(`${many(held, "block")} of ${bytesText(bytes)} still reachable`);
    return parts.join(", ");
  }

  #jsonPrint(code: number | undefined, leaks: LeakReports | undefined): void {
    const result = {
      program: this.#path,
      exitCode: code ?? null,
      trap: this.#trapped?.split("\n")[0] ?? null,
      reports: this.#checker.reports,
      leaks: leaks?.reports ?? [],
      reachable: leaks?.reachable ?? null,
    };
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  }
}

/** How many blocks leaked, and how many bytes. */
function leakSum(leaks: LeakReports, kinds: readonly string[]): [number, number] {
  const reports = leaks.reports.filter((report) => kinds.includes(report.kind));
  const sum = (field: "count" | "size") => reports.reduce((total, each) => total + each[field], 0);
  return [sum("count"), sum("size")];
}
