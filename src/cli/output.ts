/**
 * Output: text for standard streams, written before the call returns; and files that take the place
 * of an older one only when they are complete.
 */
import {
  chmodSync,
  closeSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { type EndingSignal, SIGNALS } from "./exit-codes.ts";
import { UsageError } from "./usage.ts";

export const STDOUT = 1;
export const STDERR = 2;
/** The name of standard input and output where a command takes a file. */
export const STANDARD = "-";
/** How long to wait for the reader of a full pipe, in milliseconds. */
const PIPE_WAIT = 5;

/** Output that cannot be written. The program and its arguments are not the reason. */
export class OutputError extends Error {
  override readonly name = "OutputError";
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such folder",
  ENOSPC: "no space left",
  EDQUOT: "no space left",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of its path is not a folder",
  EFBIG: "it would exceed the limit of file sizes",
  EIO: "input/output error",
  EBADF: "it is closed",
};

/** What the system returns when the path itself is wrong. */
const WRONG_PATHS = new Set(["ENOENT", "ENOTDIR", "EISDIR", "ELOOP", "ENAMETOOLONG", "EINVAL"]);

function outputFault(name: string, error: unknown): OutputError {
  const { code = "", message } = error as NodeJS.ErrnoException;
  const reason = REASONS[code];
  return new OutputError(
    `${name}: cannot be written: ${reason === undefined ? message : `${code}: ${reason}`}`,
  );
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

function bytesOf(content: string | Uint8Array): Uint8Array {
  return typeof content === "string" ? new TextEncoder().encode(content) : content;
}

/** Writes all bytes; waits while the pipe is full. */
function bytesWrite(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(file, bytes, at);
    } catch (error) {
      if (codeOf(error) !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PIPE_WAIT);
    }
  }
}

/**
 * Writes to a standard stream, before it returns. A reader that has gone, as in `terrane … | head`,
 * has what it wants: that is not an error.
 * @throws OutputError
 */
export function streamWrite(file: number, content: string | Uint8Array): void {
  try {
    bytesWrite(file, bytesOf(content));
  } catch (error) {
    if (codeOf(error) === "EPIPE") return;
    throw outputFault(file === STDOUT ? "standard output" : "standard error", error);
  }
}

/**
 * A file that is being written beside its place, and renamed into it by `commit`: until then, an
 * older file of that name stays as it is. Devices and pipes are written directly, and `-` is
 * standard output.
 */
export class OutputFile {
  /** The file beside the place; undefined if the place is written directly. */
  readonly temporary: string | undefined;
  readonly #path: string;
  readonly #target: string;
  readonly #file: number;

  /** @throws UsageError for a wrong path; OutputError if no file can be made there. */
  constructor(path: string) {
    this.#path = path;
    try {
      const old = path === STANDARD ? undefined : statOf(path);
      // The file that a link leads to is replaced, not the link.
      this.#target = old?.isFile() ? realpathSync(path) : path;
      if (path === STANDARD) this.#file = STDOUT;
      else if (old && !old.isFile()) this.#file = openSync(path, "w");
      else {
        this.temporary = beside(this.#target);
        this.#file = openSync(this.temporary, "wx", old?.mode ?? 0o666);
        if (old) chmodSync(this.temporary, old.mode & 0o7777);
      }
    } catch (error) {
      if (this.temporary !== undefined && codeOf(error) !== "EEXIST") this.#remove();
      const fault = outputFault(path, error);
      throw WRONG_PATHS.has(codeOf(error) ?? "") ? new UsageError(fault.message) : fault;
    }
  }

  /** @throws OutputError; the file is then discarded. */
  write(content: string | Uint8Array): void {
    if (this.#file === STDOUT) streamWrite(STDOUT, content);
    else this.#attempt(() => bytesWrite(this.#file, bytesOf(content)));
  }

  /**
   * Puts the complete file in its place.
   * @throws OutputError; the older file is then still there.
   */
  commit(): void {
    if (this.#file === STDOUT) return;
    this.#attempt(() => {
      if (this.temporary !== undefined) fsyncSync(this.#file);
      closeSync(this.#file);
      if (this.temporary !== undefined) renameSync(this.temporary, this.#target);
    });
  }

  #attempt(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#remove();
      throw outputFault(this.#path, error);
    }
  }

  #remove(): void {
    if (this.temporary !== undefined) rmSync(this.temporary, { force: true });
  }
}

function statOf(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false });
}

function beside(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
}

/**
 * Writes a file whole. A signal that comes meanwhile ends the process behind that, so that nothing
 * is left beside the file.
 * @throws OutputError
 */
export async function fileWrite(path: string, content: Uint8Array): Promise<void> {
  const file = new OutputFile(path);
  const wait = file.temporary === undefined ? () => undefined : signalsDefer();
  try {
    file.write(content);
    file.commit();
  } finally {
    await wait();
  }
}

/** Defers signals; the function that is returned lets them end the process again. */
function signalsDefer(): () => Promise<void> {
  const names = Object.keys(SIGNALS) as EndingSignal[];
  const end = (name: NodeJS.Signals): never => process.exit(SIGNALS[name as EndingSignal]);
  for (const name of names) process.on(name, end);
  return async () => {
    await new Promise((resolve) => setImmediate(resolve));
    for (const name of names) process.removeListener(name, end);
  };
}
