/** The exit codes of all commands: help texts and documentation are made from this table. */

export const EXIT_DONE = 0;
/** A trace or an allocator failed, or terrane itself. */
export const EXIT_FAILED = 1;
/** The checked program has made a mistake. */
export const EXIT_FOUND = 1;
/** Wrong arguments, or a file that cannot be used. */
export const EXIT_USAGE = 2;
/** Ctrl-C, as shells report it. */
export const EXIT_INTERRUPTED = 130;
/** The program trapped, as shells report an abort. */
export const EXIT_TRAP = 134;

/** A code and what it means. */
type Row = readonly [code: number, meaning: string];

/** The codes of each command. */
export const exitCodes = {
  replay: [
    [EXIT_DONE, "all traces were replayed"],
    [EXIT_FAILED, "a trace cannot be read, or an allocator failed"],
    [EXIT_USAGE, "wrong arguments"],
    [EXIT_INTERRUPTED, "interrupted with Ctrl-C"],
  ],
  run: [
    [EXIT_USAGE, "wrong arguments, or a file that cannot be run"],
    [EXIT_TRAP, "the program trapped"],
  ],
  check: [
    [EXIT_FOUND, "mistakes or leaks were found"],
    [EXIT_USAGE, "wrong arguments, or a file that cannot be checked"],
    [EXIT_TRAP, "the program trapped"],
  ],
  override: [
    [EXIT_DONE, "the new module was written; with --dry-run, it could be written"],
    [EXIT_USAGE, "wrong arguments, or a file whose allocator cannot be replaced"],
  ],
  inspect: [
    [EXIT_DONE, "the report was printed, whatever the verdict"],
    [EXIT_USAGE, "wrong arguments, or a file that is not a WebAssembly module"],
  ],
} as const satisfies Readonly<Record<string, readonly Row[]>>;

/** Commands that run a program, whose exit code they return if no other one applies. */
const RUNNING: readonly string[] = ["run", "check"];

/** The table of a command as text for its help. */
export function exitCodesText(command: keyof typeof exitCodes): string {
  const rows: readonly Row[] = exitCodes[command];
  const lines = rows.map(([code, meaning]) => `  ${String(code).padEnd(5)}${meaning}`);
  if (RUNNING.includes(command)) lines.push("  else the exit code of the program");
  return `Exit codes:\n${lines.join("\n")}`;
}
