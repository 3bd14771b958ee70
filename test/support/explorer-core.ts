/** The core under the explorer: see steps.ts. */
import assert from "node:assert/strict";
import { A_GROWER, A_PAGE_SLICES, INIT_ZEROED, SLICE_SIZE } from "#dist/core/layout.js";
import { Explorer } from "./explorer.js";
import { dropAll, keep } from "./step-blocks.js";
import { allPrograms } from "./step-programs.js";
import * as S from "./steps.js";

const MEMORY_SLICES = 128;

export class CoreExplorer extends Explorer<S.Program> {
  readonly #cells: Int32Array;
  readonly #words: Uint32Array;
  readonly #core: S.SteppedCore;
  readonly #hard: number | undefined;
  #slices = 0;

  /** `hard`: the features of a hardened core; else the plain one. */
  constructor(hard?: number) {
    const cells = new Int32Array(new SharedArrayBuffer(S.CELLS * 4));
    const words = new Uint32Array(new SharedArrayBuffer(MEMORY_SLICES * SLICE_SIZE));
    const workerData = { memory: words.buffer, cells: cells.buffer, hard: hard !== undefined };
    const worker = new URL("step-worker.js", import.meta.url);
    super(allPrograms, { worker, workerData, words: words.length, races: false });
    this.#cells = cells;
    this.#words = words;
    this.#hard = hard;
    const slices = () => this.#slices;
    this.#core = S.createStepped(hard !== undefined, {
      ...S.hardHost(this.#words, () => void Atomics.add(this.#cells, S.CELL_REPORTS, 1)),
      buffer: this.#words.buffer,
      grow: () => 0,
      pages: () => 1,
      error: () => {},
      step: () => {},
      stepStore: () => {},
      torn: false,
      get slices() {
        return slices();
      },
    });
  }

  protected begin(program: S.Program): void {
    const { slices = 40 } = program;
    this.#words.fill(0);
    this.#cells.fill(0);
    this.#slices = 1 + slices;
    this.#cells[S.CELL_SLICES] = this.#slices;
    this.#core.heapInit(S.BASE, INIT_ZEROED);
    if (this.#hard !== undefined) this.#core.hardeningBegin(this.#hard, 0);
    this.#core.threadDetach();
  }

  protected end(program: S.Program, died: boolean): void {
    const hard = this.#hard !== undefined;
    const me = { number: 6, core: this.#core, words: this.#words, cells: this.#cells, hard };
    this.#core.threadAttach(S.BASE, 0);
    if (died) this.#bury();
    program.check?.(me);
    for (let role = died ? 1 : 0; role < program.roles.length; role++) this.endRole(role);
    if (died) dropAll(me, 0);
    else assert.equal(this.#core.lostCollect(), 0, "slices that nobody has");
    if (hard) assert.equal(this.#cells[S.CELL_REPORTS], program.reports ?? 0, "reports");
    this.#core.heapCollect(true);
    this.#core.heapCollect(true);
    const left = died ? (program.leak ?? 0) : 0;
    this.#assertBooks(left);
    if (died) this.#fill(me, left);
    this.#core.threadDetach();
  }

  /** Recovers the victim, unless it died behind its end, or before it was one. */
  #bury(): void {
    this.#core.threadRecover(this.#cells[S.CELL_TICKETS] as number);
    assert.equal(this.#core.threadRecover(this.#cells[S.CELL_TICKETS] as number), false, "twice");
  }

  #assertBooks(left: number): void {
    assert.ok(this.#core.arenaIsValid(), "arenaIsValid");
    assert.ok(this.#core.heapIsValid(), "heapIsValid");
    const used = this.#words[(S.BASE + A_PAGE_SLICES) >>> 2] as number;
    assert.ok(used <= left, `${used} slices in use, at most ${left} expected`);
    assert.equal(this.#core.threadCount(), 1, "threads");
    assert.equal(this.#words[(S.BASE + A_GROWER) >>> 2], 0, "nobody grows");
  }

  /** Everything that is free can be had, and no two blocks share a byte. */
  #fill(me: S.Thread, left: number): void {
    let slot = 0;
    while (slot < S.CELLS_EACH - 1 && keep(me, slot, 8000) !== 0) slot++;
    dropAll(me);
    this.#core.heapCollect(true);
    this.#assertBooks(left);
  }
}
