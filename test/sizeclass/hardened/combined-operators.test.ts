/** What Scudo's tests check of C++'s operators, and of sized and aligned frees. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHardenedMalloc, parseScudoOptions } from "#src/sizeclass/index.js";
import { backends, hooked, textOf } from "./combined-hooks.js";

test("New: operators by their mangled names, sized, aligned and nothrow", () => {
  for (const options of backends) {
    const { abi, since } = hooked({ quarantineSizeKb: 16, ...options });
    const call = (name: string, ...args: number[]) => abi[name]?.(...args) as number;
    for (const size of [1, 2, 4, 8, 16, 12]) {
      for (const [make, drop, wrong] of [
        ["_Znwm", "_ZdlPv", "_ZdaPv"],
        ["_Znam", "_ZdaPv", "_ZdlPv"],
        ["_Znwj", "_ZdlPv", "free"],
        ["_Znaj", "_ZdaPv", "free"],
      ] as const) {
        const ptr = call(make, size);
        assert.equal(since(), `+${ptr}:${size}`);
        assert.match(
          textOf(() => call(wrong, ptr)),
          /^allocation type mismatch when deallocating/,
        );
        call(drop, ptr);
        assert.equal(since(), `-${ptr}`);
        assert.match(
          textOf(() => call(drop, ptr)),
          /^invalid chunk state/,
        );
        const sized = call(make, size);
        assert.match(
          textOf(() => call(`${drop}m`, sized, size + 1)),
          /^invalid sized delete/,
        );
        call(`${drop}j`, sized, size);
        call(drop, call(`${make}RKSt9nothrow_t`, size));
        const aligned = call(`${make}St11align_val_t`, size, 1024);
        assert.equal(aligned % 1024, 0);
        assert.match(
          textOf(() => call(`${drop}mSt11align_val_t`, aligned, 3, 1024)),
          /^invalid siz/,
        );
        call(`${drop}mSt11align_val_t`, aligned, size, 1024);
        call(`${drop}St11align_val_t`, call(`${make}St11align_val_tRKSt9nothrow_t`, size, 64), 64);
        since();
      }
    }
    assert.equal(call("_Znwm", -1), 0);
  }
});

test("TypeMismatch: the text names the functions that allocated and freed", () => {
  const heap = createHardenedMalloc(parseScudoOptions("dealloc_type_mismatch=true"));
  const makers = [
    () => heap.malloc(10),
    () => heap.operatorNew(10),
    () => heap.operatorNew(10, true),
  ];
  const drops = [
    (ptr: number) => heap.free(ptr),
    (ptr: number) => heap.operatorDelete(ptr),
    (ptr: number) => heap.operatorDeleteArray(ptr),
  ];
  const words = ["malloc", "new", "new[]"];
  makers.forEach((make, has) => {
    const ptr = make();
    drops.forEach((drop, given) => {
      if (has === given) return;
      const types = `(${words[has]} vs ${words[given]})`;
      const text = `allocation type mismatch when deallocating ${types}`;
      assert.equal(
        textOf(() => drop(ptr)),
        text,
      );
    });
    drops[has]?.(ptr);
  });
});

test("ReallocTypeMismatch: blocks of new are not resized", () => {
  const heap = createHardenedMalloc();
  for (const array of [false, true]) {
    const ptr = heap.operatorNew(10, array);
    const text = `allocation type mismatch when reallocating (new${array ? "[]" : ""} vs malloc)`;
    assert.equal(
      textOf(() => heap.realloc(ptr, 1_000_000)),
      text,
    );
    array ? heap.operatorDeleteArray(ptr) : heap.operatorDelete(ptr);
  }
});

test("AlignTypeMismatch: blocks of memalign are freed and, not as in Scudo, resized", () => {
  // C allows realloc of any block of aligned_alloc; Scudo refuses it.
  const heap = createHardenedMalloc();
  const ptr = heap.memalign(32, 10);
  const moved = heap.realloc(ptr, 1000);
  assert.ok(moved !== ptr && moved % 16 === 0);
  heap.free(moved);
  heap.free(heap.memalign(32, 10));
  const aligned = heap.memalign(32, 10);
  const text = "allocation type mismatch when deallocating (aligned malloc vs new)";
  assert.equal(
    textOf(() => heap.operatorDelete(aligned)),
    text,
  );
});

test("SizeMismatch: a sized free of another size, also of aligned blocks", () => {
  const heap = createHardenedMalloc(parseScudoOptions("delete_size_mismatch=true"));
  const text = "invalid sized delete when deallocating (1000000 vs 10)";
  const ptr = heap.malloc(10);
  assert.equal(
    textOf(() => heap.freeSize(ptr, 1_000_000)),
    text,
  );
  heap.free(ptr);
  const aligned = heap.memalign(32, 10);
  assert.equal(
    textOf(() => heap.freeSizeAligned(aligned, 1_000_000, 32)),
    text,
  );
  heap.freeSizeAligned(aligned, 10, 32);
});

test("SizeNotExactUsableMismatch: the size of the request or the usable size, and no other", () => {
  const heap = createHardenedMalloc({ exactUsableSize: false });
  const ptr = heap.malloc(10);
  const usable = heap.usableSize(ptr);
  assert.notEqual(usable, 10);
  const text = `invalid sized delete when deallocating (1000000 vs 10 or ${usable})`;
  assert.equal(
    textOf(() => heap.freeSize(ptr, 1_000_000)),
    text,
  );
  heap.freeSize(ptr, 10);
  heap.freeSize(heap.malloc(10), usable);
});

test("AlignMismatch: a block without the alignment, and a wrong alignment", () => {
  const heap = createHardenedMalloc({ shuffle: false });
  const ptr = Array.from({ length: 4 }, () => heap.memalign(32, 10)).find(
    (one) => one % 8192 !== 0,
  );
  assert.ok(ptr);
  const has = Math.log2(ptr & -ptr);
  const text = `invalid aligned delete when deallocating (${has} bit align vs 13 bit align)`;
  assert.equal(
    textOf(() => heap.freeSizeAligned(ptr, 10, 8192)),
    text,
  );
  const none = "invalid allocation alignment: 9, alignment must be a power of two";
  assert.equal(
    textOf(() => heap.freeSizeAligned(ptr, 10, 9)),
    none,
  );
  heap.freeSizeAligned(ptr, 10, 32);
  const array = heap.operatorNew(10, true, 64);
  assert.match(
    textOf(() => heap.operatorDeleteArray(array, 10, 2 ** 20)),
    /^invalid aligned delete/,
  );
  heap.operatorDeleteArray(array, 10, 64);
});

test("VerifyConfigOverrideMatchChecks: flags that are off turn the checks off", () => {
  const off = ["dealloc_type_mismatch", "delete_size_mismatch", "dealloc_align_mismatch"];
  const heap = createHardenedMalloc(parseScudoOptions(off.map((name) => `${name}=no`).join(":")));
  heap.free(heap.operatorNew(10));
  heap.freeSize(heap.malloc(10), 1_000_000);
  heap.freeSizeAligned(heap.memalign(32, 10), 10, 2 ** 20);
  heap.operatorDelete(heap.realloc(heap.operatorNew(10), 20), 30, 7);
});
