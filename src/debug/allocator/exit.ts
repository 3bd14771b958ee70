/** Allocators that are looked at when the process ends. */
import { nodeProcess } from "../report/node.ts";

/** What the exit does with an allocator. It must not throw: nothing could catch it. */
interface AtExit {
  exit(): void;
}

/** Held until destroy: an allocator that the collector took could not report its leaks. */
const open = new Set<AtExit>();
let listening = false;
/** What the process ends with if it has no code of its own. */
let code = 0;

export function exitAdd(allocator: AtExit): void {
  open.add(allocator);
  listen();
}

/** The process ends with this code, unless it fails by itself. 0 changes nothing. */
export function exitCodeSet(wanted: number): void {
  if (wanted === 0) return;
  code = wanted;
  listen();
}

function listen(): void {
  if (listening) return;
  listening = true;
  const process = nodeProcess();
  process?.on?.("exit", (own) => {
    for (const each of open) each.exit();
    if (code !== 0 && !own && !process.exitCode) process.exitCode = code;
  });
}

export function exitRemove(allocator: AtExit): void {
  open.delete(allocator);
}
