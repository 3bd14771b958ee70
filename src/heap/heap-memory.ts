/** What a heap does with its memory as a whole: arenas, and giving back what is free. */

import type { HeapError } from "../common/errors.ts";
import { Arenas } from "./arenas.ts";
import type {
  ArenaArea,
  HugePageOptions,
  ManageOptions,
  ReserveOptions,
} from "./calls/contract.ts";
import { MeasuredHeap } from "./measured.ts";
import {
  type PurgeSettings,
  purgeApply,
  purgeCheck,
  purgeMerge,
  purgeRead,
} from "./purge-settings.ts";
import { millisecondsCheck, timerStart } from "./purge-timer.ts";

export abstract class HeapMemory extends MeasuredHeap {
  abstract collect(force?: boolean): void;
  /** Through this.core, so that a heap that has ended says so. */
  protected readonly arenas = new Arenas({
    core: () => this.core,
    source: () => this.source,
    words: () => this.u32,
  });
  /** What was asked for; the memory has what is possible. */
  #purge: PurgeSettings | undefined;
  #timerStop: (() => void) | undefined;

  /** When the memory is there; with settings if it is new to heaps. */
  protected memoryBegin(purge: PurgeSettings | undefined): void {
    const { numa } = this.source;
    this.#purge = purge;
    if (purge) purgeApply(this.core, this.source, purge);
    if (numa) this.core.numaBind(numa.node);
  }

  /**
   * Sets memory apart, rounded up to 64 KiB, as an arena: for heaps that are made for it, or,
   * unless it is exclusive, for all heaps before the memory grows. Answers its id. It stays set
   * apart.
   *
   * @throws HeapError ERR_OUT_OF_MEMORY, or ERR_NO_ARENA when there are 112 arenas.
   * @example
   * const arena = heap.reserveMemory(2 ** 20, { exclusive: true });
   * const heapInIt = heap.newHeap({ arena });
   */
  reserveMemory(bytes: number, options?: ReserveOptions): number {
    return this.arenas.reserve(bytes, options);
  }

  /**
   * Gives the heap a range of the memory that is nobody's as an arena: its whole slices of 64 KiB.
   * Nobody else may touch it any more. Answers the arena's id.
   *
   * @throws RangeError when it holds no whole slice, ends behind the memory, or is the heap's in
   * part.
   * @throws HeapError ERR_OUT_OF_MEMORY, or ERR_NO_ARENA when there are 112 arenas.
   */
  manageMemory(address: number, bytes: number, options?: ManageOptions): number {
    return this.arenas.manage(address, bytes, options);
  }

  /**
   * Reserves up to `pages` huge pages, which follow each other, as an arena that is never purged.
   * Answers how many there were. Only simulated memories have huge pages.
   *
   * @throws RangeError where there are none.
   * @throws HeapError ERR_OUT_OF_MEMORY when not one could be had.
   */
  reserveHugePages(pages: number, options?: HugePageOptions): { arena: number; pages: number } {
    return this.arenas.hugePages(pages, options);
  }

  /** Where an arena lies; undefined for an id that no arena has. */
  arenaArea(id: number): ArenaArea | undefined {
    return this.arenas.area(id);
  }

  /** Which slices of the arenas are in use (x) and free (.), 32 a line, for people. */
  arenasPicture(): string {
    return this.arenas.picture();
  }

  /**
   * Lets a tick of the purge clock go by and gives back the free memory whose delay is over; with
   * `force` all of it. For a timer: allocation counts ticks too, but a program that rests does not
   * allocate. Does nothing over a memory that can give nothing back: see docs/arenas.md.
   *
   * @example
   * const heap = createHeap();
   * const timer = setInterval(() => heap.purge(), 100);
   * clearInterval(timer);
   */
  purge(force = false): void {
    this.core.purge(force);
  }

  /**
   * Collects and purges at an interval, as long as this heap lives: memory that is free goes back
   * `purgeDelay` intervals after it was freed, also while the program rests. The timer keeps no
   * process alive. 0 ends it. In a program whose threads share the heap, each calls it for its own.
   *
   * @throws TypeError or RangeError for what is no number of milliseconds.
   * @example
   * const heap = createHeap({ release: "auto" });
   * heap.purgeEvery(100);
   */
  purgeEvery(milliseconds: number): void {
    this.core.goodSize(0); // throws if the heap is destroyed
    millisecondsCheck(milliseconds);
    this.#timerStop?.();
    this.#timerStop = milliseconds === 0 ? undefined : timerStart(this, milliseconds, tick);
  }

  /** Changes settings of purges, for all threads of the memory; answers those that hold now. */
  purgeSettings(settings: Partial<PurgeSettings> = {}): PurgeSettings {
    purgeCheck(settings);
    const words = this.u32;
    const before = this.#purge ?? purgeRead(words, this.source.start);
    this.#purge = purgeMerge(before, settings);
    if (Object.keys(settings).length > 0) purgeApply(this.core, this.source, this.#purge);
    return purgeRead(words, this.source.start);
  }

  /** Ends the timer too. */
  protected override end(error: () => HeapError): void {
    this.#timerStop?.();
    super.end(error);
  }
}

function tick(heap: HeapMemory): void {
  heap.collect();
  heap.purge();
}
