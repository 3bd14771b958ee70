/** Places whose mistake is known: making it again must cost no more than the check. */
import type { Report } from "./report.ts";

/** So often the mistakes of a place are looked at closely: its callers may differ. */
const CLOSELY = 16;
/** After that one of so many is. */
const SAMPLE = 1024;

interface Place {
  count: number;
  report: Report | undefined;
}

export class Places {
  readonly #places = new Map<number, Place>();

  /** Whether this mistake needs no closer look; it is counted then. */
  isRepeated(key: number): boolean {
    const place = this.#places.get(key);
    if (place === undefined) return false;
    const { report } = place;
    if (++place.count <= CLOSELY || place.count % SAMPLE === 0) return false;
    if (report) report.count++;
    return true;
  }

  /** Remembers the latest report of a place. */
  reported(key: number, report?: Report): void {
    const place = this.#places.get(key);
    if (place) place.report = report;
    else this.#places.set(key, { count: 1, report });
  }
}
