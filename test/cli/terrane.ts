/** The command line as a process that has ended. */
import { spawnSync } from "node:child_process";
import { cli } from "../support/checkout.js";

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export function terraneRun(args: readonly string[], env: NodeJS.ProcessEnv = {}): Ended {
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args], {
    encoding: "utf8",
    input: "",
    env: { ...process.env, ...env },
  });
  return { code: status, out: stdout, err: stderr };
}

export function terrane(...args: string[]): Ended {
  return terraneRun(args);
}
