/** The commands that work on finished .wasm files. What is heavy is loaded when one runs. */
import type { Command } from "commander";
import { checkCommandAdd } from "./command-check.ts";
import { overrideCommandAdd } from "./command-override.ts";
import { runCommandAdd } from "./command-run.ts";

export function wasmCommandsAdd(program: Command): void {
  runCommandAdd(program);
  checkCommandAdd(program);
  overrideCommandAdd(program);
}
