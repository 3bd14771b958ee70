/** The explorer of the core: see steps.ts. */
import assert from "node:assert/strict";
import * as L from "#src/core/layout/layout.js";
import { Explorer } from "./explorer.js";
import { dropAll, keep } from "./step-blocks.js";
import { allPrograms } from "./step-programs.js";
import * as S from "./steps.js";

const MEMORY_SLICES = 128;
/** Slices that a death leaves in use at most, unless the program says otherwise. */
const LEAK = 8;

export class CoreExplorer extends Explorer<S.Program> {
  readonly #cells: Int32Array;
  readonly #words: Uint32Array;
  readonly #core: S.SteppedCore;
  readonly #hard: number | undefined;
  #slices = 0;

  /** `hard`: the features of a hardened core; undefined: the unhardened one. */
  constructor(hard?: number) {
    const cells = new Int32Array(new SharedArrayBuffer(S.CELLS * 4));
    const words = new Uint32Array(new SharedArrayBuffer(MEMORY_SLICES * L.SLICE_SIZE));
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
      stepLoad: () => {},
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
    this.#core.heapInit(S.BASE, L.INIT_ZEROED);
    if (this.#hard !== undefined) this.#core.hardeningBegin(this.#hard, 0);
    this.#core.threadDetach();
  }

  protected end(program: S.Program): void {
    const hard = this.#hard !== undefined;
    const { dead } = this;
    const place = { number: 6, core: this.#core, words: this.#words, cells: this.#cells };
    const me = { ...place, hard, dead: () => dead };
    const roles = program.roles.map((_, role) => role);
    const victims = roles.filter((role) => ((dead >>> role) & 1) !== 0);
    this.#core.threadAttach(S.BASE, 0);
    for (const role of victims) this.#recoverVictim(role);
    if (dead === 0) program.check?.(me);
    for (const role of roles) if (!victims.includes(role)) this.endRole(role);
    for (const role of victims) dropAll(me, role);
    if (dead === 0) assert.equal(this.#core.lostCollect(), 0, "slices without an owner");
    if (hard) this.#assertReports(program, dead);
    this.#core.heapCollect(true);
    this.#core.heapCollect(true);
    const left = victims.length * (program.leak ?? LEAK) + (program.lost ?? 0);
    this.#assertCounters(left);
    if (dead !== 0) this.#fill(me, left);
    this.#core.threadDetach();
  }

  /** Recovers a victim, unless it died after its end or before it attached. */
  #recoverVictim(role: number): void {
    const thread = this.#cells[S.CELL_THREADS + role] as number;
    this.#core.threadRecover(thread);
    assert.equal(this.#core.threadRecover(thread), false, "twice");
  }

  #assertReports(program: S.Program, dead: number): void {
    const reports = this.#cells[S.CELL_REPORTS] as number;
    const most = program.reports ?? 0;
    assert.ok(reports === most || (dead !== 0 && reports < most), `${reports} reports`);
  }

  #assertCounters(left: number): void {
    assert.ok(this.#core.stateIsValid(), "stateIsValid");
    assert.ok(this.#core.heapIsValid(), "heapIsValid");
    const used = this.#words[(S.BASE + L.S_PAGE_SLICES) >>> 2] as number;
    assert.ok(used <= left, `${used} slices in use, at most ${left} expected`);
    assert.equal(this.#core.threadCount(), 1, "threads");
    assert.equal(this.#words[(S.BASE + L.S_GROWER) >>> 2], 0, "no thread grows the memory");
  }

  /** All free memory can be allocated, and no two blocks overlap. */
  #fill(me: S.Thread, left: number): void {
    let slot = 0;
    while (slot < S.CELLS_EACH - 1 && keep(me, slot, 8000) !== 0) slot++;
    dropAll(me);
    this.#core.heapCollect(true);
    this.#assertCounters(left);
  }
}
