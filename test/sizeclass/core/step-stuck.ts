/** Programs that keep locks by mistake, which the explorer must find. */
import type { Program, Thread } from "./steps.js";

const take = (cls: number) => (t: Thread) => void t.core.regionLock(cls);

export const stuckPrograms: Program[] = [
  { name: "stuck: a thread ends with a lock", roles: [{ run: take(1) }, { run: take(1) }] },
  {
    name: "stuck: each of two threads waits for the lock of the other",
    roles: [
      [1, 2],
      [2, 1],
    ].map((order) => ({
      run: (t: Thread) => {
        for (const cls of order) take(cls)(t);
        for (const cls of order) t.core.regionUnlock(cls);
      },
    })),
  },
];
