/**
 * Where messages and tables go: to the handler that a program has registered, else to the error
 * stream, and then also to a buffer, so that a handler that comes late still gets what was said.
 */
import { checkFunction } from "./checks.ts";

/** Gets text as it comes: a prefix, a line, a part of a line. */
export type OutputHandler = (text: string) => void;

/** What was said before a handler came; text beyond is not kept. */
const BUFFER_CHARACTERS = 32 * 1024;

let handler: OutputHandler = stderrAndBuffer;
let buffer = "";
let buffering = true;
let inside = false;

/**
 * Sends every message, warning, error and table of statistics of this thread to a function from now
 * on. It gets what has been said so far, at most 32 KiB, in one call at once; then each message in
 * two calls, prefix and text. What it causes to be said itself is dropped. Undefined: the error
 * stream, or the console of a browser.
 *
 * @throws TypeError for what is not a function.
 * @example
 * registerOutput((text) => log.push(text));
 */
export function registerOutput(output: OutputHandler | undefined): void {
  checkFunction("output", output);
  if (!output) {
    handler = stderrWrite;
    return;
  }
  handler = output;
  const text = buffer;
  buffer = "";
  buffering = false;
  if (text !== "") guarded(() => output(text));
}

/** Says a message: its prefix, then its text, which ends its line. */
export function messageWrite(prefix: string, text: string): void {
  guarded(() => {
    handler(prefix);
    handler(`${text}\n`);
  });
}

/** Says text as it is. */
export function outputWrite(text: string): void {
  guarded(() => handler(text));
}

/** A handler may do what makes us say something: that would be for ever. */
function guarded(say: () => void): void {
  if (inside) return;
  inside = true;
  try {
    say();
  } finally {
    inside = false;
  }
}

function stderrAndBuffer(text: string): void {
  stderrWrite(text);
  if (buffering) buffer += text.slice(0, BUFFER_CHARACTERS - buffer.length);
}

/** At once, since a Worker's own stream waits for an event loop that may never turn again. */
function stderrWrite(text: string): void {
  if (typeof process !== "object" || !process.stderr) {
    consoleWrite(text);
    return;
  }
  try {
    process.getBuiltinModule("node:fs").writeSync(2, text);
  } catch {
    process.stderr.write(text);
  }
}

let line = "";

/** A console ends each call with a line. */
function consoleWrite(text: string): void {
  const lines = (line + text).split("\n");
  line = lines.pop() as string;
  for (const whole of lines) console.error(whole);
}
