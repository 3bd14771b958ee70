/** The commands that work on finished .wasm files. What is heavy is loaded when one runs. */
import type { Command } from "commander";
import { checkCommandAdd } from "./check.ts";
import { overrideCommandAdd } from "./override.ts";
import { runCommandAdd } from "./run.ts";

export function wasmCommandsAdd(program: Command): void {
  runCommandAdd(program);
  checkCommandAdd(program);
  overrideCommandAdd(program);
}
