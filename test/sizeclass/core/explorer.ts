/** The size-class allocator under the explorer: see steps.ts. */
import assert from "node:assert/strict";
import { C_LARGE_PAGES, C_LOCK, R_ALLOCATED, R_LATE, R_LOCK } from "#src/sizeclass/core/layout.js";
import { LIST_BYTES } from "#src/sizeclass/hardened/quarantine.js";
import { SharedSizeClassHeap } from "#src/sizeclass/heap/shared.js";
import { Explorer } from "../../support/explorer.js";
import { allPrograms } from "./step-all.js";
import { dropAll } from "./step-blocks.js";
import * as S from "./steps.js";

/** What a death lost: chunks of all classes, and pages of large blocks. */
export interface Lost {
  chunks: number;
  pages: number;
}

const classes = Array.from({ length: 16 }, (_, i) => i + 1);

export class SizeClassExplorer extends Explorer<S.Program> {
  /** The most that a run lost so far. */
  lost: Lost = { chunks: 0, pages: 0 };
  readonly #me: S.Instance;
  #program: S.Program | undefined;

  constructor() {
    const bytes = (words: number) => new SharedArrayBuffer(words * 4);
    const memory = bytes(S.MEMORY_WORDS);
    const workerData = { memory, cells: bytes(S.CELLS), live: bytes(S.MEMORY_WORDS / 128) };
    const worker = new URL("step-worker.js", import.meta.url);
    super(allPrograms, { worker, workerData, words: S.WORDS, races: true });
    const quiet = { step: () => {}, plain: () => {}, pause: () => false, torn: false };
    this.#me = new S.Instance(workerData, quiet);
  }

  protected begin(program: S.Program): void {
    this.#program = program;
    const { words, cells, live } = this.#me;
    words.fill(0);
    cells.fill(0);
    live.fill(0);
    this.#me.begin(program);
    if (!program.hardened) return;
    const heap = this.#me.attach(SharedSizeClassHeap);
    cells[S.CELL_LIST] = heap.zalloc(LIST_BYTES);
    heap.detach();
  }

  protected end(program: S.Program, died: boolean): void {
    const me = this.#attach(program);
    if (died) this.#recoverDead(me);
    program.check?.(me);
    for (let role = died ? 1 : 0; role < program.roles.length; role++) this.endRole(role);
    if (died) dropAll(me, 0);
    this.#drain(me);
    this.#assertNothingIsHeld();
    this.#lateListsEmpty(me);
    assert.ok(me.heap.primary.isValid(), "isValid");
    if (!died) this.#regionsReturn(program, me);
    const { chunks = 0, pages = 0 } = (died && program.leak) || {};
    const lost = this.#lostNow(program);
    assert.ok(lost.chunks <= chunks, `${lost.chunks} chunks are lost, ${chunks} may be`);
    assert.ok(lost.pages <= pages, `${lost.pages} pages are lost, ${pages} may be`);
    this.lost.chunks = Math.max(lost.chunks, this.lost.chunks);
    this.lost.pages = Math.max(lost.pages, this.lost.pages);
  }

  #attach(program: S.Program): S.Thread {
    const { core, words, cells, live } = this.#me;
    const heap = this.#me.attach(SharedSizeClassHeap);
    const nothing = { attach: () => {}, meet: () => {}, hard: undefined };
    const me: S.Thread = { number: 3, core, words, cells, live, heap, ...nothing };
    me.hard = S.hardenedOf(program, me);
    return me;
  }

  /** Recovers the thread that died, unless it had detached before. */
  #recoverDead(me: S.Thread): void {
    const threadId = me.cells[S.CELL_THREAD_IDS] as number;
    const attached = this.#me.isAttached(threadId);
    assert.equal((me.hard ?? me.heap).recover(threadId), attached, "recover");
    assert.equal((me.hard ?? me.heap).recover(threadId), false, "twice");
  }

  #drain(me: S.Thread): void {
    (me.hard ?? me.heap).drain();
    if (me.hard) me.heap.free(me.cells[S.CELL_LIST] as number);
    me.heap.drain();
  }

  #assertNothingIsHeld(): void {
    const { core } = this.#me;
    for (const cls of classes) assert.equal(core.regionWord(cls, R_LOCK), 0, `lock ${cls}`);
    assert.equal(core.controlWord(C_LOCK), 0, "the lock of large blocks");
    assert.ok(
      this.#me.live.every((by) => by === 0),
      "a block is live",
    );
  }

  /** Empties the late lists by taking each lock once. */
  #lateListsEmpty({ heap }: S.Thread): void {
    for (const cls of this.#classes()) {
      if (this.#me.core.regionWord(cls, R_LATE) === 0) continue;
      heap.primary.returnTo(cls, heap.primary.getFrom(cls, 1));
    }
    const p = heap.malloc(heap.primary.map.sizeLast + 1);
    if (p !== 0) heap.free(p);
  }

  /** On demand a class of which every chunk is free returns all its pages. */
  #regionsReturn(program: S.Program, me: S.Thread): void {
    if (!me.heap.primary.onDemand || program.options?.metadataSize) return;
    me.heap.primary.releaseAll();
    assert.ok(me.heap.primary.isValid(), "isValid after a release");
    for (const cls of classes) assert.equal(this.#me.pagesOf(cls), 0, `pages of class ${cls}`);
  }

  #lostNow(program: S.Program): Lost {
    const chunks = this.#classes().reduce((sum, cls) => sum + this.#chunksLost(cls), 0);
    const { used, bytes } = S.bitmapsOf(program);
    const bits = this.#me.words.subarray(used / 4, (used + bytes) / 4);
    const marked = bits.reduce((sum, word) => sum + bitCount(word), 0);
    assert.ok(marked >= this.#me.core.controlWord(C_LARGE_PAGES), "mapped pages are marked");
    const had = classes.reduce((sum, cls) => sum + this.#me.pagesOf(cls), 0);
    return { chunks, pages: Math.max(0, marked - had - (program.foreign ?? 0)) };
  }

  /** Chunks of a class that are not free; none may be on the array twice. */
  #chunksLost(cls: number): number {
    const { made, free } = this.#me.chunksOf(cls);
    assert.equal(new Set(free).size, free.length, `class ${cls}: a chunk is free twice`);
    return made - free.length;
  }

  /** Classes that have chunks. */
  #classes(): number[] {
    return classes.filter((cls) => this.#me.core.regionWord(cls, R_ALLOCATED) !== 0);
  }

  protected override wordName(index: number): string {
    return S.wordName(this.#program as S.Program, index);
  }
}

function bitCount(word: number): number {
  return word.toString(2).replaceAll("0", "").length;
}
