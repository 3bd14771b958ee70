/**
 * Rows 56 to 67 of the checklist, step by step: two or more heaps of one shared state take turns in
 * one thread. Where the protocol differs from mimalloc's, the test of the row checks what this one
 * promises; see docs/internals/differences.md. test/threads has real threads, interleavings.test.ts every
 * order of events.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as L from "#src/core/layout/layout.js";
import {
  type Build,
  backEnds,
  type CoreSubject,
  coreAttached,
  coreSubject,
} from "../../support/core.js";
import { HIGH_BASE } from "../../support/variants.js";

const build: Build = "shared";

/** As row() of variants.ts, for the shared build. */
function row(name: string, body: (s: CoreSubject) => void): void {
  for (const backEnd of backEnds) {
    for (const base of [0, HIGH_BASE]) {
      const place = base === 0 ? backEnd : `${backEnd} above 2 GiB`;
      test(`${place}: row ${name}`, () => body(coreSubject(backEnd, 4096, base, build)));
    }
  }
}

/** Another thread of the same state. */
function join(s: CoreSubject): CoreSubject {
  return coreAttached(s.backEnd, s);
}

function fill(s: CoreSubject, count: number, size: number): number[] {
  return Array.from({ length: count }, () => s.core.malloc(size));
}

function ownerOf(s: CoreSubject, page: number): number {
  return (s.word(page, L.D_OWNER) & ~L.FLAGS) >>> 0;
}

/**
 * The blocks of a page that others have freed, last to first, according to the word and the links.
 */
function remoteList(s: CoreSubject, page: number): number[] {
  const word = s.word(page, L.D_THREAD);
  const base = Math.floor(s.word(page, L.D_START) / L.SLICE_SIZE) * L.SLICE_SIZE;
  const blocks = [];
  for (let p = word === 0 ? 0 : base + (word & 0x3fff) * 8; p !== 0; p = s.word(p)) blocks.push(p);
  assert.equal(blocks.length, word >>> 14);
  return blocks;
}

function assertEmpty(s: CoreSubject): void {
  s.core.heapCollect(true);
  assert.equal(s.core.stateIsValid(), 1);
  assert.equal(s.core.heapIsValid(), 1);
  assert.equal(s.state(L.S_PAGE_SLICES), 0);
}

row(
  "56: remote free, first - the page's list has it, the owner's word is set, used is unchanged",
  (s) => {
    const other = join(s);
    const [p, q] = fill(s, 2, 64) as [number, number];
    const page = s.core.pageOf(p);
    other.core.free(p);
    assert.deepEqual(remoteList(s, page), [p]);
    assert.equal(s.word(page, L.D_USED), 2);
    assert.equal(s.heap(L.H_REMOTE), 1);
    s.core.free(q);
    assertEmpty(s);
  },
);

row("57: remote free, second - goes on the page's list, linked to the first", (s) => {
  const other = join(s);
  const [p, q, r] = fill(s, 3, 64) as [number, number, number];
  const page = s.core.pageOf(p);
  other.core.free(p);
  other.core.free(q);
  assert.deepEqual(remoteList(s, page), [q, p]);
  assert.equal(s.word(page, L.D_USED), 3);
  s.core.free(r);
  assertEmpty(s);
});

row(
  "58: owner drains - the next generic malloc takes both, and the page is not full any more",
  (s) => {
    const other = join(s);
    const blocks = fill(s, 9, 8000);
    const page = s.core.pageOf(blocks[0]!);
    assert.ok((s.word(page, L.D_OWNER) & L.FLAG_FULL) !== 0, "eight blocks fill it");
    other.core.free(blocks[0]!);
    other.core.free(blocks[1]!);
    fill(s, 7, 8000);
    const ninth = s.core.malloc(8000);
    assert.ok(ninth === blocks[0] || ninth === blocks[1], "a freed block");
    assert.equal(s.word(page, L.D_THREAD), 0);
    assert.equal(s.word(page, L.D_USED), 7);
    assert.equal(s.word(page, L.D_OWNER) & L.FLAG_FULL, 0);
  },
);

row("59: a thread that stops between its push and the owner's word blocks no other", (s) => {
  s.core.free(s.core.malloc(2 ** 20)); // before the memory grows, all pages are searched
  const other = join(s);
  const blocks = fill(s, 9, 8000);
  other.core.free(blocks[0]!);
  // As if the other thread had been terminated before it set the word.
  s.words()[(s.base + 0x12000 + L.H_REMOTE) / 4] = 0;
  fill(s, 7, 8000);
  const fresh = s.core.malloc(8000);
  assert.notEqual(fresh, blocks[0], "full pages are not polled while there is free memory");
  other.core.free(blocks[1]!);
  const page = s.core.pageOf(blocks[0]!);
  assert.equal(s.heap(L.H_REMOTE), 0, "the list was not empty, so the second free sets no word");
  s.core.heapCollect(false);
  assert.equal(s.word(page, L.D_USED), 6, "collect finds both");
});

row("61: thread exit abandons - pages with live blocks have no owner, others go", (s) => {
  const other = join(s);
  const [small] = fill(other, 1, 64) as [number];
  const [medium] = fill(other, 1, 20000) as [number];
  other.core.free(other.core.malloc(500));
  const pages = [small, medium].map((p) => s.core.pageOf(p));
  other.core.threadDetach();
  for (const page of pages) {
    assert.equal(ownerOf(s, page), L.OWNER_ABANDONED);
    assert.equal(s.word(page, L.D_USED), 1);
  }
  assert.equal(s.state(L.S_PAGE_SLICES), 3, "the page of 500 bytes has gone");
  assert.equal(s.state(L.S_ABANDONED), 1);
  assert.equal(s.core.threadCount(), 1);
});

row(
  "62: free into abandoned - the freeing thread takes the page, and the block is free at once",
  (s) => {
    const other = join(s);
    const [p, q] = fill(other, 2, 64) as [number, number];
    other.core.threadDetach();
    const page = s.core.pageOf(p);
    s.core.free(p);
    assert.equal(ownerOf(s, page), s.core.threadHeap());
    assert.equal(s.word(page, L.D_USED), 1);
    assert.equal(s.word(page, L.D_LOCAL), p);
    s.core.free(q);
    assertEmpty(s);
  },
);

row("63: reclaim on collect - a forced collect takes all pages, with their live blocks", (s) => {
  const other = join(s);
  const blocks = fill(other, 100, 64);
  for (const p of blocks.splice(50)) other.core.free(p);
  other.core.threadDetach();
  const page = s.core.pageOf(blocks[0]!);
  s.core.heapCollect(false);
  assert.equal(ownerOf(s, page), L.OWNER_ABANDONED, "not without force");
  s.core.heapCollect(true);
  assert.equal(ownerOf(s, page), s.core.threadHeap());
  assert.equal(s.word(page, L.D_USED), 50);
  for (const p of blocks) s.core.free(p);
  assertEmpty(s);
});

row("64: reclaim by allocation - a block of an abandoned page comes before a new page", (s) => {
  const other = join(s);
  const [p] = fill(other, 1, 64) as [number];
  const [m] = fill(other, 1, 20000) as [number];
  other.core.threadDetach();
  const slices = s.state(L.S_PAGE_SLICES);
  assert.equal(s.core.pageOf(s.core.malloc(64)), s.core.pageOf(p));
  assert.equal(s.core.pageOf(s.core.malloc(30000)), s.core.pageOf(m));
  assert.equal(s.state(L.S_PAGE_SLICES), slices);
});

row("65: abandoned, all freed - the page is given back", (s) => {
  const other = join(s);
  const blocks = fill(other, 3, 8000);
  other.core.threadDetach();
  for (const p of blocks) s.core.free(p);
  assertEmpty(s);
});

row("66: ABA - a page that was adopted and abandoned again in between is adopted once", (s) => {
  const [first, second] = [join(s), join(s)];
  const [p] = fill(first, 1, 64) as [number];
  const page = s.core.pageOf(p);
  for (let turn = 0; turn < 3; turn++) {
    first.core.threadDetach();
    assert.equal(ownerOf(s, page), L.OWNER_ABANDONED);
    second.core.abandonedAdoptAll();
    s.core.abandonedAdoptAll();
    assert.equal(ownerOf(s, page), second.core.threadHeap(), "the first thread that looks has it");
    second.core.threadDetach();
    second.core.threadAttach(s.base, 0);
    first.core.threadAttach(s.base, 0);
    first.core.abandonedAdoptAll();
    assert.equal(ownerOf(s, page), first.core.threadHeap());
  }
  first.core.free(p);
  first.core.threadDetach();
  second.core.threadDetach();
  assertEmpty(s);
});

row(
  "67: thread metadata reuse - threads one after the other use one area, and 124 fit at a time",
  (s) => {
    const areas = new Set<number>();
    for (let i = 0; i < 20; i++) {
      const thread = join(s);
      areas.add(thread.core.threadHeap());
      thread.core.free(thread.core.malloc(100));
      thread.core.threadDetach();
    }
    assert.equal(areas.size, 1);
    const threads = Array.from({ length: 123 }, () => join(s));
    assert.equal(s.core.threadCount(), 124);
    assert.equal(new Set(threads.map((thread) => thread.core.threadBound())).size, 123);
    const late = join(s);
    assert.equal(late.core.threadHeap(), 0, "no area for one more");
    for (const thread of threads) thread.core.threadDetach();
    assertEmpty(s);
  },
);

row("recover: a thread's pages are abandoned, and a second call finds nothing", (s) => {
  const dead = join(s);
  const blocks = [100, 8000, 30000, 200000].map((size) => dead.core.malloc(size));
  const thread = dead.core.threadBound();
  assert.equal(s.core.threadRecover(thread), 1);
  assert.equal(s.core.threadRecover(thread), 0);
  assert.equal(s.core.threadRecover(thread + 1000), 0);
  assert.equal(s.core.threadRecover(s.core.threadBound()), 0, "not the calling thread itself");
  assert.equal(s.core.threadCount(), 1);
  for (const p of blocks) assert.equal(ownerOf(s, s.core.pageOf(p)), L.OWNER_ABANDONED);
  for (const p of blocks) s.core.free(p);
  assertEmpty(s);
});

row("a block that others free twice is reported, and its list dropped", (s) => {
  const other = join(s);
  const [small] = fill(s, 1, 8000) as [number];
  const [medium] = fill(s, 1, 20000) as [number];
  for (const p of [small, small, medium, medium]) other.core.free(p);
  s.core.heapCollect(false);
  assert.deepEqual(s.errors, [
    [14, 8192],
    [14, 2048],
  ]);
  assert.equal(s.core.heapIsValid(), 1);
});

row("blocks of other threads: sizes, resizing and checks", (s) => {
  const other = join(s);
  for (const size of [8, 100, 1500, 8000, 20000, 100000]) {
    const p = s.core.malloc(size);
    s.bytes().fill(7, p, p + size);
    const usable = s.core.usableSize(p);
    assert.equal(other.core.usableSize(p), usable);
    assert.equal(other.core.pointerCheck(p), 0);
    assert.equal(other.core.contains(p), 1);
    const q = other.core.realloc(p, size * 3);
    assert.ok(
      s
        .bytes()
        .subarray(q, q + size)
        .every((byte) => byte === 7),
    );
    s.core.free(q);
    s.core.free(s.core.memalign(256, size));
    const aligned = s.core.memalign(256, size);
    other.core.free(aligned);
  }
  other.core.threadDetach();
  assertEmpty(s);
});
