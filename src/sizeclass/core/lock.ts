/**
 * A lock is a word with the id of the thread that holds it, so that the lock of a thread that died
 * can be taken over. A thread that waits tries for a while and then gives up: no call waits for
 * ever for a dead thread. The callers document what they do without the lock.
 */
import { atomicCas, atomicLoad, atomicStore } from "../../core/target/atomics.ts";
import { lockPause } from "./space.ts";
import { threadId } from "./state.ts";

/** Attempts between two pauses. */
const LOOKS: u32 = 200;

export function lockAcquire(p: usize): bool {
  return atomicCas(p, 0, 0, threadId) || lockWait(p);
}

/** Pauses in the host, which ends the waiting by returning false. */
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
