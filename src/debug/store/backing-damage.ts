/**
 * A backing allocator whose own structures a stray write has reached: the first call that fails
 * because of it is noticed, and from then on the debug allocator does without it.
 */
import { MemoryError } from "../../common/errors.ts";
import { memoryViewsOf } from "../../layers/sources/views.ts";
import type { MemorySource } from "../../memory/index.ts";
import { MemoryMistake } from "../report/report.ts";
import type { Backing } from "./allocator-like.ts";
import { type Apart, apartOf } from "./apart.ts";
import type { Run } from "./block.ts";

/** Codes of errors that say nothing about the state of the allocator below. */
const harmless = new Set([
  ...["ERR_HEAP_DESTROYED", "ERR_HEAP_DETACHED", "ERR_OUT_OF_MEMORY", "ERR_DISABLED"],
  ...["ERR_WRONG_THREAD", "ERR_LOCKED", "ERR_REGION_ENDED"],
]);

/** Whether an error of the allocator below means that its structures are damaged. */
export function isDamage(error: unknown): boolean {
  if (error instanceof MemoryMistake) return false;
  return !(error instanceof MemoryError) || !harmless.has(error.code);
}

/** Whether an error is the engine's, or stands for one: whole structures do not lead to it. */
export function isTrap(error: unknown): boolean {
  if (error instanceof MemoryError && error.code === "ERR_HEAP_DAMAGED") return true;
  return typeof WebAssembly === "object" && error instanceof WebAssembly.RuntimeError;
}

/** The runs of an allocator, until it is damaged; then those of its memory, if it has one. */
export class WatchedBacking implements Backing {
  readonly kind: Backing["kind"];
  readonly allocator: Backing["allocator"];
  readonly pages: Backing["pages"];
  /** Called once, with what the allocator below threw. */
  onDamage: ((error: unknown) => void) | undefined;
  isDamaged = false;
  #usesBelow = false;
  #views: { readonly u8: Uint8Array; readonly u32: Uint32Array };
  readonly #below: Backing;
  readonly #source: MemorySource | undefined;
  #apart: Apart | undefined;

  /** @param source The memory of the allocator; undefined where it does not say. */
  constructor(below: Backing, source: MemorySource | undefined) {
    this.kind = below.kind;
    this.allocator = below.allocator;
    this.pages = below.pages;
    this.#views = below;
    this.#below = below;
    this.#source = source;
    this.#apart = source && isOwnable(source) ? apartOf(source) : undefined;
  }

  /** Whether runs ever lay in blocks of the allocator below. */
  get usesBelow(): boolean {
    return this.#usesBelow;
  }

  get u8(): Uint8Array {
    return this.#views.u8;
  }

  get u32(): Uint32Array {
    return this.#views.u32;
  }

  acquire(alignment: number, bytes: number): Run | undefined {
    const run = this.#apart?.acquire(alignment, bytes);
    if (run || this.isDamaged) return run;
    try {
      const below = this.#checked(this.#below.acquire(alignment, bytes));
      if (below) this.#usesBelow = true;
      return below;
    } catch (error) {
      this.damaged(error);
      return this.#apart?.acquire(alignment, bytes);
    }
  }

  /** A run of a damaged allocator stays where it is. */
  release(run: Run): void {
    if (this.#apart?.release(run) || this.isDamaged) return;
    try {
      this.#below.release(run);
    } catch (error) {
      this.damaged(error);
    }
  }

  /** Does without the allocator below from now on. @throws `error` if it means no damage. */
  damaged(error: unknown): void {
    if (!isDamage(error)) throw error;
    if (this.isDamaged) return;
    this.isDamaged = true;
    this.onDamage?.(error);
    if (!this.#source) return;
    const views = memoryViewsOf(this.#source);
    this.#views = {
      get u8() {
        return views.bytes();
      },
      get u32() {
        return views.u32();
      },
    };
    this.#apart ??= apartOf(this.#source);
  }

  /** @throws RangeError for a run that no allocator with whole structures returns. */
  #checked(run: Run | undefined): Run | undefined {
    if (!run) return undefined;
    const { raw, asked } = run;
    if (raw > 0 && raw + asked <= this.u8.length) return run;
    throw new RangeError(`it returned ${raw} for ${asked} bytes, which is not in its memory`);
  }
}

/**
 * Whether guarded blocks can lie beside the heap of a memory from the start. Of memories that
 * threads share each thread sees the growth only by the heap's own structures.
 */
function isOwnable({ capabilities, pages }: MemorySource): boolean {
  return capabilities.canGrow && !capabilities.shared && !pages?.needsCommit;
}
