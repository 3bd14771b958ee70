/** The exit codes of all commands: help texts and documentation are made from this table. */

export const EXIT_DONE = 0;
/** A result that is bad: the checked program has made a mistake, an allocator has failed. */
export const EXIT_FOUND = 1;
/** Wrong arguments, or a file that cannot be used. */
export const EXIT_USAGE = 2;
/** terrane itself failed: most often, its output cannot be written. */
export const EXIT_FAILED = 3;
/** The program trapped, as shells report an abort. */
export const EXIT_TRAP = 134;

/** Signals that end a command, with their exit codes as shells report them. */
export const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** A signal that ends a command. */
export type EndingSignal = keyof typeof SIGNALS;

/** A code and what it means. */
type Row = readonly [code: number, meaning: string];

const failed: Row = [EXIT_FAILED, "terrane itself failed, or its output cannot be written"];
const ended: readonly Row[] = [
  [SIGNALS.SIGHUP, "ended by SIGHUP"],
  [SIGNALS.SIGINT, "ended by SIGINT (Ctrl-C)"],
  [SIGNALS.SIGTERM, "ended by SIGTERM"],
];
const program: readonly Row[] = [
  [
    EXIT_TRAP,
    "the program trapped, threw an exception that nothing caught, or called itself too deeply",
  ],
];

/** The codes of each command. The first that applies, from the last row up, is returned. */
export const exitCodes = {
  replay: [
    [EXIT_DONE, "all traces were replayed"],
    [EXIT_FOUND, "an allocator failed"],
    [EXIT_USAGE, "wrong arguments, or a trace that cannot be read"],
    failed,
    ...ended,
  ],
  run: [
    [EXIT_USAGE, "wrong arguments, or a file that cannot be run"],
    failed,
    ...ended,
    ...program,
  ],
  check: [
    [EXIT_FOUND, "mistakes or leaks were found, and the program ended by itself"],
    [EXIT_USAGE, "wrong arguments, or a file that cannot be checked"],
    failed,
    ...ended,
    ...program,
  ],
  override: [
    [EXIT_DONE, "the new module was written; with --dry-run, it could be written"],
    [EXIT_USAGE, "wrong arguments, or a file whose allocator cannot be replaced"],
    failed,
    ...ended,
  ],
  inspect: [
    [EXIT_DONE, "the report was printed, whatever the verdict"],
    [EXIT_USAGE, "wrong arguments, or a file that is not a WebAssembly module"],
    failed,
  ],
} as const satisfies Readonly<Record<string, readonly Row[]>>;

/** Commands that run a program, whose exit code they return if no other one applies. */
const RUNNING: readonly string[] = ["run", "check"];

/** The table of a command as text for its help. */
export function exitCodesText(command: keyof typeof exitCodes): string {
  const rows: readonly Row[] = exitCodes[command];
  const lines = rows.map(([code, meaning]) => `  ${String(code).padEnd(5)}${meaning}`);
  if (RUNNING.includes(command)) {
    lines.push("  128+n the program raised signal n");
    lines.push("  else the exit code of the program");
  }
  return `Exit codes:\n${lines.join("\n")}`;
}
