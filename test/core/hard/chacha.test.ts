/** Rows 53, 105 and 106: the arithmetic of hardening, and its randomness. */
import assert from "node:assert/strict";
import * as L from "#src/core/layout/layout.js";
import type { CoreSubject } from "../../support/core.js";
import { ALL, hardRow } from "../../support/hard.js";

const CHACHA = 64 * 1024;

/** Address of a block, as memory that the heap does not use. */
function scratch(s: CoreSubject): number {
  return s.core.malloc(CHACHA);
}

function put(s: CoreSubject, at: number, text: string): void {
  const words = text.trim().split(/\s+/);
  words.forEach((word, i) => {
    s.words()[at / 4 + i] = Number.parseInt(word, 16);
  });
}

function words(s: CoreSubject, at: number, count: number): string {
  const list = Array.from({ length: count }, (_, i) => s.word(at, 4 * i));
  return list.map((word) => word.toString(16).padStart(8, "0")).join(" ");
}

const hexOf = (word: number) => word.toString(16).padStart(8, "0");

/** The key 00 01 02 … 1f, as words. */
const KEY = "03020100 07060504 0b0a0908 0f0e0d0c 13121110 17161514 1b1a1918 1f1e1d1c";
const ONLY_ONE = { bits: 0 };

hardRow("105: quarter rounds", ONLY_ONE, (s) => {
  if (s.build !== "single") return;
  const at = scratch(s);
  put(s, at, "11111111 01020304 9b8d6f43 01234567");
  s.core.quarterRound(at, 0, 1, 2, 3);
  assert.equal(words(s, at, 4), "ea2a92f4 cb1cf8ce 4581472e 5881c4bb");
  const state = `879531e0 c5ecf37d 516461b1 c9a62f8a 44c20ef3 3390af7f d9fc690b 2a5f714c
    53372767 b00a5631 974c541a 359e9963 5c971061 3d631689 2098d9d6 91dbd320`;
  put(s, at, state);
  s.core.quarterRound(at, 2, 7, 8, 13);
  const after = state.trim().split(/\s+/);
  after[2] = "bdb886dc";
  after[7] = "cfacafd2";
  after[8] = "e46bea80";
  after[13] = "ccc07c79";
  assert.equal(words(s, at, 16), after.join(" "));
});

hardRow("105: blocks", ONLY_ONE, (s) => {
  if (s.build !== "single") return;
  const at = scratch(s);
  put(s, at + 512, KEY);
  s.core.chachaInit(at, at + 512, 0, 0);
  put(s, at + 48, "00000001 09000000 4a000000 00000000");
  s.core.chachaBlock(at);
  assert.equal(
    words(s, at + 64, 16),
    "e4e7f110 15593bd1 1fdd0f50 c47120a3 c7f4d1c7 0368c033 9aaa2204 4e6cd4c3 " +
      "466482d2 09aa9f07 05d7c214 a2028bd9 d19c12b5 b94e16de e883d0cb 4e3c50a2",
  );
  s.bytes().fill(0, at + 512, at + 544);
  s.core.chachaInit(at, at + 512, 0, 0);
  s.core.chachaBlock(at);
  assert.equal(
    words(s, at + 64, 8),
    "ade0b876 903df1a0 e56a5d40 28bd8653 b819d2bd 1aed8da0 ccef36a8 c70d778b",
  );
});

hardRow("105: init, the words in their order, split", ONLY_ONE, (s) => {
  if (s.build !== "single") return;
  const at = scratch(s);
  put(s, at + 512, KEY);
  s.core.chachaInit(at, at + 512, 0x89abcdef, 0x01234567);
  assert.equal(words(s, at + 56, 2), "89abcdef 01234567");
  const got = Array.from({ length: 18 }, () => hexOf(s.core.chachaNext(at)));
  assert.deepEqual(got.slice(0, 4), ["c141f42e", "930922f0", "c8563029", "5390c59f"]);
  assert.deepEqual(got.slice(16), ["0763a16a", "96611ee9"]);
  assert.deepEqual([s.word(at, 48), s.word(at, 128)], [2, 14], "counter and words left");
  assert.ok(s.core.chachaIsValid(at), "words that were handed out are cleared");
  s.core.chachaSplit(at, at + 1024, 0x55667788, 0x11223344);
  assert.deepEqual([s.word(at + 1024, 48), s.word(at + 1024, 128)], [1, 16]);
  assert.equal(hexOf(s.core.chachaNext(at + 1024)), "d0bbe3c6");
  assert.deepEqual([s.word(at + 1024, 48), s.word(at + 1024, 128)], [1, 15]);
});

hardRow("105: the counter carries into its high word, then into the nonce", ONLY_ONE, (s) => {
  if (s.build !== "single") return;
  const at = scratch(s);
  put(s, at + 512, KEY);
  s.core.chachaInit(at, at + 512, 7, 9);
  put(s, at + 48, "ffffffff 00000003");
  s.core.chachaBlock(at);
  assert.equal(words(s, at + 48, 4), "00000000 00000004 00000007 00000009");
  put(s, at + 48, "ffffffff ffffffff");
  s.core.chachaBlock(at);
  assert.equal(words(s, at + 48, 4), "00000000 00000000 00000008 00000009");
});

hardRow("105: shuffle32", ONLY_ONE, ({ build, core }) => {
  if (build !== "single") return;
  const got = [0, 17, 1, 2, 0xdeadbeef].map((x) => hexOf(core.shuffle32(x)));
  assert.deepEqual(got, ["4ca56ae5", "4ca56ae5", "688990c0", "d1132181", "e628c683"]);
});

hardRow("53: encode and decode", ONLY_ONE, ({ build, core }) => {
  if (build !== "single") return;
  const [key0, key1, nothing] = [0x89abcdef, 0x76543210, 0x1000];
  assert.equal(hexOf(core.encode(nothing, 0x00400090, key0, key1)), "a2ec08f9");
  assert.equal(hexOf(core.encode(nothing, 0, key0, key1)), "9ab40919");
  assert.equal(core.decode(nothing, 0xa2ec08f9, key0, key1), 0x00400090);
  assert.equal(core.decode(nothing, 0x9ab40919, key0, key1), 0);
  for (let rotation = 0; rotation < 32; rotation++) {
    const p = (0x90000040 + rotation * 0x01000010) >>> 0;
    assert.equal(core.decode(nothing, core.encode(nothing, p, rotation, key1), rotation, key1), p);
  }
});

hardRow(
  "106: a heap without randomness works, is weak, and becomes strong later",
  { bits: ALL },
  (s) => {
    assert.equal(s.core.randomIsWeak(), 0);
    s.random = false;
    s.core.heapInit(s.base, 0);
    s.core.hardeningBegin(ALL, 0);
    assert.equal(s.core.randomIsWeak(), 1);
    const blocks = Array.from({ length: 1000 }, (_, i) => s.core.malloc(i % 99));
    for (const p of blocks) s.core.free(p);
    assert.deepEqual(s.reports, []);
    s.core.randomRenew();
    assert.equal(s.core.randomIsWeak(), 1, "the host still has none");
    s.random = true;
    for (let i = 0; i < 3000; i++) s.core.malloc(i % 300);
    assert.equal(s.core.randomIsWeak(), 0, "asks again by itself");
    assert.ok(s.core.heapIsValid());
  },
);

hardRow("106: a sub-heap has random words of its own", { bits: 0 }, (s) => {
  const beside = s.core.heapNew();
  const was = s.core.heapBind(beside);
  const context = (heap: number) => words(s, heap + L.H_RANDOM + 16, 8);
  assert.equal(context(beside), context(was), "the key");
  assert.notEqual(s.word(beside, L.H_RANDOM + 56), s.word(was, L.H_RANDOM + 56), "the nonce");
  assert.equal(s.word(beside, L.H_RANDOM + 128), 16, "its first block is made");
  s.core.heapBind(was);
});
