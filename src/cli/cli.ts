#!/usr/bin/env node
/** The command line: its commands, and how failures become one line and an exit code. */
import { readFileSync } from "node:fs";
import { isMainThread } from "node:worker_threads";
import { Command, CommanderError } from "commander";
import { AllocatorError } from "../trace/allocators.ts";
import { ReplayError } from "../trace/measure.ts";
import { TraceError } from "../trace/ops.ts";
import { printable } from "../wasm/symbols/printable.ts";
import { checkCommandAdd } from "./check.ts";
import { EXIT_DONE, EXIT_FAILED, EXIT_FOUND, EXIT_USAGE } from "./exit-codes.ts";
import { inspectCommandAdd } from "./inspect.ts";
import { STDERR, streamWrite } from "./output.ts";
import { overrideCommandAdd } from "./override.ts";
import { threadProgram } from "./program-thread.ts";
import { replayCommandAdd } from "./replay.ts";
import { runCommandAdd } from "./run.ts";
import { UsageError } from "./usage.ts";

const HELP = `
Example:
  $ terrane replay bench/traces/perl.trace.gz

terrane COMMAND --help prints the options, examples and exit codes of a command.`;

function versionRead(): string {
  const file = new URL("../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

/** Writes an error as one line: commander writes suggestions on a line of their own. */
function errorWrite(text: string, write: (line: string) => void): void {
  const line = text.trim().replace(/\s*\n\s*/g, " ");
  write(`terrane: ${printable(line.replace(/^error: /, ""))}\n`);
}

function programCreate(): Command {
  const program = new Command("terrane");
  program
    .description("Memory management for TypeScript and WebAssembly.")
    .version(versionRead())
    .configureOutput({ outputError: errorWrite })
    .enablePositionalOptions()
    .exitOverride();
  replayCommandAdd(program);
  runCommandAdd(program);
  checkCommandAdd(program);
  overrideCommandAdd(program);
  inspectCommandAdd(program);
  program.addHelpText("after", HELP);
  return program;
}

/** The exit code for an error. commander has written its own errors; others are written here. */
function failureReport(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_DONE : EXIT_USAGE;
  const text = error instanceof Error ? error.message : String(error);
  try {
    errorWrite(text, (line) => streamWrite(STDERR, line));
  } catch {
    // Nobody can be told; the exit code is left.
  }
  if (error instanceof ReplayError) return EXIT_FOUND;
  return isUsage(error) ? EXIT_USAGE : EXIT_FAILED;
}

function isUsage(error: unknown): boolean {
  return [UsageError, TraceError, AllocatorError].some((kind) => error instanceof kind);
}

/** A closed pipe, as in `terrane … | head`, ends the program without an error. */
function pipesGuard(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      process.exit(error.code === "EPIPE" ? EXIT_DONE : EXIT_FAILED);
    });
  }
}

async function commandRun(): Promise<void> {
  pipesGuard();
  try {
    await programCreate().parseAsync();
  } catch (error) {
    process.exitCode = failureReport(error);
  }
}

// Also the file of the threads that it starts, so that the package needs no file for them.
if (isMainThread) await commandRun();
else await threadProgram();
