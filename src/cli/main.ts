#!/usr/bin/env node
/** The command line: puts the commands together, and turns failures into one line each. */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { wasmCommandsAdd } from "./command.ts";
import { replayCommandAdd } from "./replay.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

function versionRead(): string {
  const file = new URL("../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

/** commander puts its suggestions on a line of their own. */
function errorWrite(text: string, write: (line: string) => void): void {
  const line = text.trim().replace(/\s*\n\s*/g, " ");
  write(`terrane: ${line.replace(/^error: /, "")}\n`);
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
  wasmCommandsAdd(program);
  program.addHelpText(
    "after",
    "\nExample:\n  $ terrane replay bench/traces/perl.trace.gz\n\nCOMMAND --help tells more.",
  );
  return program;
}

/** What commander throws, it has told already; the rest is told here. */
function failureReport(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
  const text = error instanceof Error ? error.message : String(error);
  errorWrite(text, (line) => process.stderr.write(line));
  return EXIT_FAILED;
}

/** `terrane … | head` closes our output early: nobody reads on, so there is nothing to tell. */
function pipesGuard(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      process.exit(error.code === "EPIPE" ? 0 : EXIT_FAILED);
    });
  }
}

pipesGuard();
try {
  await programCreate().parseAsync();
} catch (error) {
  process.exitCode = failureReport(error);
}
