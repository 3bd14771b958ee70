/** The operating system's pages for tests: or why a test that needs them cannot run here. */
import { spawnSync } from "node:child_process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type OsPages, osPages } from "#dist/memory/index.js";

const found = osPages();

/** For `{ skip }`: false, or the reason that is printed. */
export const skip: string | false = found.available ? false : `no OS pages: ${found.missing}`;

/** The pages; only where `skip` is false. */
export const os = found as OsPages;

/** What is in physical memory of a range, by the kernel's own books. */
export function residentOf(bytes: ArrayBufferLike): number {
  return os.residency(os.addressOf(bytes), bytes.byteLength).residentBytes;
}

/** Collects garbage until what has been registered for that was told. */
export async function collect(): Promise<void> {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  for (let round = 0; round < 5; round++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A handler that does not help is called again and again: that ends as a failure. */
const CHILD_MILLISECONDS = 60_000;

export interface Child {
  status: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

/** Runs a module as a process of its own, so that a crash is a result. */
export function child(source: string, env: Record<string, string> = {}, ...args: string[]): Child {
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    [...args, "--input-type=module", "-e", source],
    { encoding: "utf8", timeout: CHILD_MILLISECONDS, env: { ...process.env, ...env } },
  );
  return { status, signal, stdout, stderr };
}
