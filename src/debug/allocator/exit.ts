/** Allocators that are looked at when the process ends. */
import { nodeProcess } from "../report/node.ts";

/** What the exit does with an allocator. It must not throw: nothing could catch it. */
interface AtExit {
  exit(): void;
}

/** Held until destroy: an allocator that the collector took could not report its leaks. */
const open = new Set<AtExit>();
let listening = false;

export function exitAdd(allocator: AtExit): void {
  open.add(allocator);
  if (listening) return;
  listening = true;
  nodeProcess()?.on?.("exit", () => {
    for (const each of open) each.exit();
  });
}

export function exitRemove(allocator: AtExit): void {
  open.delete(allocator);
}
