/** What mimalloc has of Microsoft's C library: wide strings, the environment, old names. */
import assert from "node:assert/strict";
import { createAbi, type Heap, HeapError } from "#src/heap/index.js";
import { placesOf, testPlaces } from "../../support/places.js";

const places = placesOf(2 ** 22);

function everywhere(name: string, body: (heap: Heap) => void): void {
  testPlaces(places, name, (make) => body(make()));
}

function c(heap: Heap, name: string, ...args: number[]): number {
  return Number(createAbi(heap)[name]?.(...args) ?? 0) >>> 0;
}

function wide(heap: Heap, text: string): number {
  const codes = Array.from({ length: text.length }, (_, i) => text.charCodeAt(i));
  return heap.allocArray(Uint16Array, codes.length + 1).set(codes).ptr;
}

function wideText(heap: Heap, ptr: number): string {
  const end = heap.u16.indexOf(0, ptr / 2);
  return String.fromCharCode(...heap.u16.slice(ptr / 2, end));
}

everywhere("row 35: wcsdup and mbsdup copy to the 0, of null answer null", (heap) => {
  const text = "a\u0100\u4e2d\u{1f600}z".repeat(9);
  const copy = heap.wcsdup(wide(heap, text));
  assert.equal(wideText(heap, copy), text);
  assert.ok(heap.usableSize(copy) >= 2 * text.length + 2);
  assert.equal(wideText(heap, heap.wcsdup(wide(heap, ""))), "");
  const bytes = heap.allocString("bytes", { terminate: true }).ptr;
  assert.equal(heap.readString(heap.mbsdup(bytes)), "bytes");
  assert.deepEqual([heap.wcsdup(0), heap.mbsdup(0), c(heap, "wcsdup", 0)], [0, 0, 0]);
  const four = heap.allocArray(Uint32Array, 4).set([0x10000, 0x1f600, 7]).ptr;
  const duplicate = c(heap, "wcsdup", four);
  assert.deepEqual([...heap.u32.slice(duplicate / 4, duplicate / 4 + 4)], [0x10000, 0x1f600, 7, 0]);
  assert.equal(wideText(heap, c(heap, "mi_wcsdup", wide(heap, "xy"))), "xy");
});

everywhere("dupenv_s and wdupenv_s copy what the environment has", (heap) => {
  process.env.TERRANE_TEST_VALUE = "w\u00e4rt";
  const words = heap.allocArray(Uint32Array, 2);
  const [out, size] = [words.ptr, words.ptr + 4];
  const name = heap.allocString("TERRANE_TEST_VALUE", { terminate: true }).ptr;
  assert.equal(heap.dupenvS(out, size, name), 0);
  assert.equal(heap.readString(words.at(0) as number), "w\u00e4rt");
  assert.equal(words.at(1), 5);
  const wideName = wide(heap, "TERRANE_TEST_VALUE");
  assert.equal(heap.wdupenvS(out, size, wideName), 0);
  assert.equal(wideText(heap, words.at(0) as number), "w\u00e4rt");
  assert.equal(words.at(1), 4);
  assert.equal(c(heap, "mi_wdupenv_s", out, 0, wideName), 0);
  const missing = heap.allocString("TERRANE_TEST_MISSING", { terminate: true }).ptr;
  words.set([1, 1]);
  assert.equal(c(heap, "dupenv_s", out, size, missing), 0);
  assert.deepEqual([...words.array], [0, 0]);
  words.set([1, 1]);
  assert.equal(heap.dupenvS(0, size, name), 22);
  assert.equal(heap.dupenvS(out, size, 0), 22);
  assert.deepEqual([...words.array], [1, 1]);
  delete process.env.TERRANE_TEST_VALUE;
});

everywhere("without memory the copies are null, and errors are told", (heap) => {
  process.env.TERRANE_TEST_LONG = "x".repeat(60_000);
  const words = heap.allocArray(Uint32Array, 2);
  const name = heap.allocString("TERRANE_TEST_LONG", { terminate: true }).ptr;
  const text = heap.allocArray(Uint16Array, 30_001);
  text.array.fill(120, 0, 30_000);
  while (heap.malloc(60_000) !== 0);
  assert.equal(heap.wcsdup(text.ptr), 0);
  assert.equal(heap.dupenvS(words.ptr, words.ptr + 4, name), 12);
  assert.deepEqual([...words.array], [0, 0]);
  delete process.env.TERRANE_TEST_LONG;
});

everywhere(
  "old names: _expand, aligned_recalloc, aligned_offset_recalloc, new_n and its kin",
  (heap) => {
    const p = heap.malloc(100);
    assert.equal(c(heap, "_expand", p, 112), p);
    assert.equal(c(heap, "mi__expand", p, 113), 0);
    const zero = (at: number, size: number) =>
      assert.ok(heap.u8.subarray(at, at + size).every((byte) => byte === 0));
    const a = c(heap, "aligned_recalloc", 0, 10, 20, 256);
    assert.equal(a % 256, 0);
    zero(a, 200);
    const b = c(heap, "aligned_offset_recalloc", 0, 10, 20, 256, 16);
    assert.equal((b + 16) % 256, 0);
    zero(b, 200);
    assert.ok(heap.usableSize(c(heap, "new_n", 10, 20)) >= 200);
    const q = c(heap, "new_realloc", 0, 50);
    assert.ok(heap.usableSize(c(heap, "mi_new_reallocn", q, 100, 7)) >= 700);
    const none = (name: string, ...args: number[]) =>
      assert.throws(
        () => c(heap, name, ...args),
        (error) => error instanceof HeapError && error.code === "ERR_OUT_OF_MEMORY",
      );
    none("new_n", 2 ** 20, 2 ** 20);
    none("new_realloc", q, 2 ** 24);
    none("new_reallocn", q, 2 ** 20, 2 ** 20);
    const id = c(heap, "heap_new");
    assert.equal(c(heap, "heap_contains_block", id, c(heap, "heap_alloc_new", id, 64)), 1);
    assert.equal(c(heap, "heap_contains_block", id, c(heap, "mi_heap_alloc_new_n", id, 8, 8)), 1);
    const hoard: number[] = [];
    for (let r = heap.malloc(60_000); r !== 0; r = heap.malloc(60_000)) hoard.push(r);
    heap.setNewHandler(() => heap.free(hoard.pop() as number));
    assert.notEqual(c(heap, "new_realloc", 0, 60_000), 0);
  },
);
