/** When a heap gives its free memory back: its settings, and a timer. */
import type { CoreExports } from "../core/contract.ts";
import type { MemorySource } from "../memory/index.ts";
import {
  type PurgeSettings,
  purgeApply,
  purgeCheck,
  purgeMerge,
  purgeRead,
} from "./purge-settings.ts";
import { millisecondsCheck, timerStart } from "./purge-timer.ts";
import { runTold } from "./stats/damage.ts";

/** What a timer calls. */
interface Purged {
  collect(): void;
  purge(): void;
}

/** What the purges of a heap work on. */
interface PurgingHost {
  core(): CoreExports;
  readonly source: MemorySource;
  /** Words of the memory as it is now. */
  words(): Uint32Array;
}

/** The purges of one heap. */
export class Purging {
  readonly #host: PurgingHost;
  /** What was asked for; the memory has what is possible. */
  #asked: PurgeSettings | undefined;
  #timerStop: (() => void) | undefined;

  /** @param first Settings of a memory that is new to heaps. */
  constructor(host: PurgingHost, first: PurgeSettings | undefined) {
    this.#host = host;
    this.#asked = first;
    if (first) purgeApply(host.core(), host.source, first);
  }

  /** Changes settings; returns those that hold now. */
  settings(changes: Partial<PurgeSettings>): PurgeSettings {
    purgeCheck(changes);
    const { source } = this.#host;
    const words = this.#host.words();
    this.#asked = purgeMerge(this.#asked ?? purgeRead(words, source.start), changes);
    const asked = this.#asked;
    if (Object.keys(changes).length > 0) {
      runTold(() => purgeApply(this.#host.core(), source, asked));
    }
    return purgeRead(words, source.start);
  }

  /** Has the heap collect and purge at an interval; 0 = no more. */
  every(heap: Purged, milliseconds: number): void {
    millisecondsCheck(milliseconds);
    this.stop();
    this.#timerStop = milliseconds === 0 ? undefined : timerStart(heap, milliseconds, tick);
  }

  /** Ends the timer. */
  stop(): void {
    this.#timerStop?.();
  }
}

function tick(heap: Purged): void {
  heap.collect();
  heap.purge();
}
