/** What `terrane run` does: runs a program on another allocator, and prints what was counted. */
import type { Command } from "commander";
import { endingCode } from "./ending.ts";
import { SIGNALS } from "./exit-codes.ts";
import type { RunFlags, RunResult } from "./orders.ts";
import { OutputError, STDERR, streamWrite } from "./output.ts";
import { threadRun } from "./thread.ts";

/** Runs a program on another allocator; returns the exit code. */
export async function runProgram(
  path: string,
  args: readonly string[],
  flags: RunFlags,
  command: Command,
): Promise<number> {
  const end = await threadRun({ command: "run", path, args, flags });
  if (end.kind === "usage") return command.error(`error: ${end.text}`);
  if (end.kind === "failed") throw new Error(`${path}: ${end.text}`);
  if (end.kind === "signal") return SIGNALS[end.signal];
  const result = end.result as RunResult;
  streamWrite(STDERR, endText(path, result));
  if (result.unwritten !== undefined) throw new OutputError(result.unwritten);
  return endingCode(result);
}

function endText(path: string, { trap, signal, stats = "" }: RunResult): string {
  if (trap !== undefined) return `terrane: ${path}: trap: ${trap}\n${stats}`;
  return signal === undefined ? stats : `terrane: ${path}: the program raised ${signal}\n${stats}`;
}
