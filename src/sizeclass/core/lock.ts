/**
 * A lock is a word that names its holder, so that whoever sees a thread die can take it from it. A
 * thread that waits looks for a while and then gives up: no call waits for a dead thread for ever.
 * What the callers do without the lock stands with them.
 */
import { atomicCas, atomicLoad, atomicStore } from "../../core/target/atomics.ts";
import { lockPause } from "./space.ts";
import { threadId } from "./state.ts";

/** Looks between two pauses. */
const LOOKS: u32 = 200;

export function lockAcquire(p: usize): bool {
  return atomicCas(p, 0, 0, threadId) || lockWait(p);
}

/** The host pauses, and says when it has been enough. */
function lockWait(p: usize): bool {
  for (let round: u32 = 0; lockPause(round); round++) {
    for (let look: u32 = 0; look < LOOKS; look++) {
      if (atomicLoad(p, 0) === 0 && atomicCas(p, 0, 0, threadId)) return true;
    }
  }
  return false;
}

export function lockRelease(p: usize): void {
  atomicStore(p, 0, 0);
}
