/** Runs programs for WASI, overridden or unchanged. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const child = fileURLToPath(new URL("wasi-child.js", import.meta.url));

export type Form = "original" | "merge" | "import" | "import-js";

export interface Outcome {
  readonly out: string;
  readonly code: number;
}

/** What the program does in each form. @throws if it does not end by itself. */
export function wasiRun(path: string, forms: readonly Form[], args: readonly string[]): Outcome[] {
  const { stdout, stderr } = spawnSync(process.execPath, [child, path, forms.join(","), ...args], {
    encoding: "utf8",
  });
  const parts = stdout.split("\x1e");
  if (parts.length !== forms.length * 2 + 1) throw new Error(`${stdout}\n${stderr}`);
  return forms.map((_, i) => ({ out: parts[i * 2] as string, code: Number(parts[i * 2 + 1]) }));
}

/** The same for a module that is not a file. */
export function wasiRunBytes(bytes: Uint8Array, args: readonly string[]): Outcome {
  const folder = mkdtempSync(join(tmpdir(), "terrane-"));
  try {
    writeFileSync(join(folder, "program.wasm"), bytes);
    return wasiRun(join(folder, "program.wasm"), ["original"], args)[0] as Outcome;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
