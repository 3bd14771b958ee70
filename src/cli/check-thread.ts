/** The thread of `terrane check`: runs the program under the checker, and sends what is found. */
import { Checker, type LeakReports } from "../wasm/check/checker.ts";
import { type Instrumented, instrument } from "../wasm/check/instrument.ts";
import { bytesText, formatReport, type Report } from "../wasm/check/report.ts";
import { CheckHalt } from "../wasm/check/reporter.ts";
import { readSuppressions, type Suppression } from "../wasm/check/suppress.ts";
import { ModuleError } from "../wasm/module/errors.ts";
import type { Module } from "../wasm/module/module.ts";
import { functionNames } from "../wasm/module/names.ts";
import { readModule } from "../wasm/module/reader.ts";
import { Symbols } from "../wasm/symbols/symbols.ts";
import { type Ending, endingOf } from "./ending.ts";
import type { CheckFlags, CheckResult, ThreadMessage, ThreadOrder } from "./orders.ts";
import { STDERR, STDOUT, streamWrite } from "./output.ts";
import { fileRead, requireValid, requireWasiCommand, withFileName } from "./program.ts";
import { sourceMapRead } from "./source-map.ts";
import { instanceCreate } from "./start.ts";
import { asUsage } from "./usage.ts";
import { wasiCreate, wasiImports } from "./wasi.ts";
import { buffersChecked } from "./wasi-buffers.ts";

type CheckOrder = Extract<ThreadOrder, { command: "check" }>;

/** Runs a program under the checker; sends each report when it is made. */
export async function checkRun(
  order: CheckOrder,
  post: (message: ThreadMessage) => void,
): Promise<CheckResult> {
  const { path, flags } = order;
  const run = asUsage(() => {
    const instrumented = programInstrument(path, flags);
    return new CheckRun(order, instrumented, suppressionsOf(flags), post);
  });
  return await run.run();
}

function programInstrument(path: string, flags: CheckFlags): Instrumented {
  const bytes = fileRead(path);
  return withFileName(path, () => {
    readModule(bytes);
    const instrumented = validInstrument(path, bytes, flags);
    requireWasiCommand(path, instrumented.module);
    return instrumented;
  });
}

/** An engine calls valid what is not supported here invalid if it does not know it either. */
function validInstrument(path: string, bytes: Uint8Array, flags: CheckFlags): Instrumented {
  try {
    const instrumented = instrument(bytes, {
      functions: flags.function,
      trust: flags.trust,
      acceptLeftovers: flags.acceptLeftovers,
      uninitialised: flags.uninit,
      maxMemory: flags.maxMemory,
    });
    requireValid(path, bytes);
    return instrumented;
  } catch (error) {
    if (!(error instanceof ModuleError && error.code === "ERR_MODULE_UNSUPPORTED")) {
      requireValid(path, bytes);
    }
    throw error;
  }
}

/** A module with debug information and no names was changed behind the linker. */
function strippedHint(module: Module): string | undefined {
  const isNamed = functionNames(module).size > 0;
  if (isNamed || !module.sections.some(({ name }) => name.startsWith(".debug_"))) return undefined;
  return (
    "it has debug information but no names of functions, as wasm-opt leaves it, which clang " +
    "runs behind a direct link where binaryen is installed: compile with -c and link apart, and " +
    "there will be names, files and lines"
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

/** Functions that end a program: if only these run, the program has no local variables. */
const ENDING = /^(_start|exit|_Exit|__wasi_proc_exit|proc_exit|__wasm_call_dtors)$/;

class CheckRun {
  readonly #order: CheckOrder;
  readonly #instrumented: Instrumented;
  readonly #checker: Checker;
  readonly #post: (message: ThreadMessage) => void;
  /** Whether the program ended while its functions were running. */
  #endedInside = false;
  /** Why reports could not be written. */
  #unwritten: string | undefined;

  constructor(
    order: CheckOrder,
    instrumented: Instrumented,
    suppressions: readonly Suppression[],
    post: (message: ThreadMessage) => void,
  ) {
    this.#order = order;
    this.#instrumented = instrumented;
    this.#post = post;
    const map = sourceMapRead(order.path, instrumented.module);
    if (map.warning !== undefined) this.#note(map.warning);
    this.#modeNote();
    this.#uncheckedNote();
    this.#checker = new Checker(instrumented, {
      onReport: (report) => this.#report(report),
      halt: order.flags.halt,
      javascript: false,
      suppressions,
      sourceMap: map.text,
    });
  }

  async run(): Promise<CheckResult> {
    const [ending, error] = await this.#start();
    this.#refusedNote();
    const trap = ending?.trap === undefined ? undefined : this.#trap(ending.trap, error);
    const leaks = ending?.code === undefined ? undefined : this.#leaks();
    const counts = this.#checker.reports.map((report) => report.count);
    return { ...ending, trap, leaks, counts, unwritten: this.#unwritten };
  }

  #note(text: string): void {
    this.#post({ kind: "note", text });
  }

  /** What the checker cannot see, if it does not allocate itself. */
  #modeNote(): void {
    const { mode, because, module } = this.#instrumented;
    if (mode === "watch") {
      this.#note(
        `the program keeps its own allocator, which is watched: ${because}. Uses of freed ` +
          "blocks, repeated frees and leaks are found; accesses beyond a block's end are not",
      );
    } else if (mode === "none") {
      this.#note(`blocks are not checked, only accesses outside of the memory: ${because}`);
    }
    const hint = strippedHint(module);
    if (hint !== undefined) this.#note(hint);
  }

  #uncheckedNote(): void {
    const { unchecked, module } = this.#instrumented;
    if (unchecked.length === 0) return;
    const symbols = new Symbols(module);
    const names = unchecked.map((index) => symbols.name(index)).join(", ");
    this.#note(`not checked, since their code would be too large for the engine: ${names}`);
  }

  /** The program may have had other results than without the checks. */
  #refusedNote(): void {
    const { refused } = this.#checker;
    if (refused === undefined) return;
    this.#note(
      `the checker's own heap was full: the program got no block of ${bytesText(refused)}, ` +
        "although its memory may be larger; red zones need space, too",
    );
  }

  #leaks(): LeakReports | undefined {
    return this.#order.flags.leaks ? this.#checker.leaks(this.#endedInside) : undefined;
  }

  /** Returns how the program has ended, and by which error; no ending if it was halted. */
  async #start(): Promise<[ending: Ending | undefined, error?: unknown]> {
    const { path, args, flags } = this.#order;
    const stdout = flags.json ? STDERR : STDOUT;
    const wasi = await wasiCreate({ ...flags, program: path, args, stdout });
    const functions = this.#functions(wasi.wasiImport as WebAssembly.ModuleImports);
    const imports = this.#checker.importObject(wasiImports(functions));
    try {
      const instance = await instanceCreate(path, this.#instrumented.bytes, imports);
      this.#checker.attach(instance);
      return [{ code: wasi.start(instance) as unknown as number }];
    } catch (error) {
      const ending = endingOf(error);
      if (ending === undefined && !(error instanceof CheckHalt)) throw error;
      return [ending, error];
    }
  }

  #functions(imports: WebAssembly.ModuleImports): WebAssembly.ModuleImports {
    const functions = buffersChecked(imports, this.#checker);
    // Start-up code has the arguments in local variables, which have ended when leaks are searched.
    this.#keep(functions, "args_get");
    this.#keep(functions, "environ_get");
    const { proc_exit: exit } = functions;
    functions.proc_exit = (code: number) => {
      this.#endedInside = this.#isInside();
      return (exit as (code: number) => never)(code);
    };
    return functions;
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

  /** A trap with its position in the file and the calls that led there. */
  #trap(text: string, error: unknown): CheckResult["trap"] {
    if (!(error instanceof Error)) return { text, stack: [] };
    const more = this.#checker.stackIsUsedUp ? "; the program's stack is used up" : "";
    return {
      text: text + more,
      offset: this.#checker.offsetOf(error),
      stack: this.#checker.stackOf(error),
    };
  }

  /** The program goes on if the report cannot be written: the command fails at the end. */
  #report(report: Report): void {
    this.#post({ kind: "found", found: report });
    if (this.#order.flags.json) return;
    try {
      streamWrite(STDERR, `${formatReport(report)}\n\n`);
    } catch (error) {
      this.#unwritten ??= (error as Error).message;
    }
  }
}
