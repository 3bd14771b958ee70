/** The operating system's pages for tests: or why a test that needs them cannot run here. */
import { spawnSync } from "node:child_process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type OsPages, osPages } from "#src/memory/index.js";

const found = osPages();

/** For `{ skip }`: false, or the reason that is printed. */
export const skip: string | false = found.available ? false : `no OS pages: ${found.missing}`;

/** The same for tests of the fault handler. */
export const skipFaults: string | false =
  skip === false && !["x64", "arm64"].includes(process.arch)
    ? `the fault handler is not made for ${process.arch}`
    : skip;

/** The pages; only where `skip` is false. */
export const os = found as OsPages;

/** What is in physical memory of a range, by the kernel's own count. */
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

/** Runs a module as a process of its own, so that a crash is a result. Prints without colours. */
export function child(source: string, env: Record<string, string> = {}, ...args: string[]): Child {
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    [...args, "--input-type=module", "-e", source],
    {
      encoding: "utf8",
      timeout: CHILD_MILLISECONDS,
      env: { ...process.env, FORCE_COLOR: "0", ...env },
    },
  );
  return { status, signal, stdout, stderr };
}

/**
 * Whether WebAssembly code traps at an inaccessible page. Where V8 has no trap handler (Node 20 on
 * arm64) such an access ends the process, as one of JavaScript does everywhere: so a child tries.
 */
function trapsHere(): boolean {
  if (skip !== false || process.arch === "x64") return true;
  const probe = new URL("./probe.js", import.meta.url);
  return (
    child(`
    import { osPages } from "terrane/memory";
    import { probe } from "${probe}";
    const os = osPages(), memory = new WebAssembly.Memory({ initial: 2 });
    os.guard(os.addressOf(memory.buffer) + 65536, 65536);
    try { probe(memory).load(65536); } catch {}`).signal === null
  );
}

export const traps = trapsHere();

/** For `{ skip }` of tests in which WebAssembly code runs into a page. */
export const skipTraps: string | false =
  skip === false && !traps ? `V8 has no trap handler in Node ${process.version} here` : skip;

/** The same where the fault handler is needed as well. */
export const skipTrapFaults: string | false = skipFaults || skipTraps;
