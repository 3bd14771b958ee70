/** How a program has ended: by itself, a trap, an exception, or a signal that it has raised. */
import { WASI_EINVAL } from "../common/errno.ts";
import { EXIT_TRAP } from "./exit-codes.ts";

/** How a program has ended. */
export interface Ending {
  /** What it has returned or passed to `exit`; undefined if something else has ended it. */
  readonly code?: number;
  /** What has ended it: `unreachable`. */
  readonly trap?: string;
  /** The signal that it has raised: `SIGABRT`. */
  readonly signal?: string;
}

/** WASI's signals from 1 on, and what they do if nothing handles them: end, nothing (-) or stop. */
const WASI_SIGNALS =
  "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM -CHLD -CONT -STOP -TSTP " +
  "-TTIN -TTOU -URG XCPU XFSZ VTALRM PROF -WINCH POLL PWR SYS";
const signals: readonly string[] = WASI_SIGNALS.split(" ");
/** Up to here the numbers are those of shells, which have one more signal behind it. */
const SAME_NUMBERS = 15;
const BY_SIGNAL = 128;

/** Thrown through a program that has raised a signal. */
class SignalRaised extends Error {
  override readonly name = "SignalRaised";
  readonly signal: string;

  constructor(signal: string) {
    super(`the program raised ${signal}`);
    this.signal = signal;
  }
}

/**
 * WASI's proc_raise for one program. node:wasi would raise the signal in this process: here it ends
 * the program only.
 */
export function procRaise(signal: number): number {
  const name = signals[signal - 1];
  if (name === undefined) return signal === 0 ? 0 : WASI_EINVAL;
  if (name.startsWith("-")) return 0;
  throw new SignalRaised(`SIG${name}`);
}

/** The exit code of a program that has ended so. */
export function endingCode({ code, signal }: Ending): number {
  if (signal !== undefined) {
    const number = signals.indexOf(signal.slice(3)) + 1;
    return BY_SIGNAL + (number > SAME_NUMBERS ? number + 1 : number);
  }
  // The rest is lost in any process.
  return code === undefined ? EXIT_TRAP : code & 0xff;
}

/** Thrown through a program that ends itself. */
class ProgramExit extends Error {
  override readonly name = "ProgramExit";
  readonly code: number;

  constructor(code: number) {
    super(`the program has ended with exit code ${code}`);
    this.code = code;
  }
}

/** WASI's proc_exit. That of node:wasi throws what only its own start function understands. */
export function procExit(code: number): never {
  throw new ProgramExit(code >>> 0);
}

/** How an error that went through a program has ended it; undefined if it is not the program's. */
export function endingOf(error: unknown): Ending | undefined {
  if (error instanceof ProgramExit) return { code: error.code };
  if (error instanceof SignalRaised) return { signal: error.signal };
  if (error instanceof WebAssembly.RuntimeError) return { trap: error.message };
  if (isExhausted(error)) return { trap: "stack overflow: its calls are nested too deeply" };
  if (error instanceof WebAssembly.Exception) return { trap: "an exception that nothing catches" };
  return undefined;
}

function isExhausted(error: unknown): boolean {
  return error instanceof RangeError && /call stack/.test(error.message);
}
