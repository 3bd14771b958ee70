/** Every mistake, on small and large blocks, over every backing allocator, in both back ends. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DebugAllocator, type debug, MemoryMistake, type Report } from "#src/debug/index.js";
import { backingOf } from "#src/debug/store/backing.js";
import { allDetectors, type Detectors } from "#src/debug/store/detectors.js";
import { settingsOf } from "#src/debug/store/options.js";
import { createHeap } from "#src/heap/index.js";
import { backings } from "./backings.js";
import { frame, make } from "./scene-calls.js";
import { playScene, scenes } from "./scenes.js";

const sizes = { small: 100, large: 5000 };

for (const backing of backings) {
  for (const backend of ["wasm", "js"] as const) {
    for (const [kind, size] of Object.entries(sizes)) {
      test(`${kind} blocks over ${backing.name}, ${backend}: the text of every mistake`, async () => {
        for (const scene of scenes) {
          const below = backing.create(backend);
          const heap = await playScene(scene, below, size).catch((error) => {
            error.message = `${scene.name}: ${error.message}`;
            throw error;
          });
          // The state is valid: nothing is live, blocks can be allocated, and all memory goes back.
          assert.equal(heap.stats().blocks, 0, scene.name);
          assert.equal(heap.stats().requestedBytes, 0, scene.name);
          if (!scene.ends) {
            const ptrs = [1, 100, 2000, 100_000].map((bytes) => heap.malloc(bytes % 6000));
            assert.ok(ptrs.every((ptr) => ptr !== 0));
            for (const ptr of ptrs) heap.free(ptr);
            assert.equal(heap.destroy(), "ok", scene.name);
          }
          assert.equal(heap.stats().residentBytes, 0);
          if (below instanceof DebugAllocator) assert.equal(below.detectLeaks(), 0, scene.name);
        }
      });
    }
  }
}

/** `debug` over a heap, with one detector off; with all on if there is no name. */
function debugWithout(name?: keyof Detectors): typeof debug {
  return function entry(allocator, options = {}) {
    const backing = backingOf(allocator ?? createHeap());
    const detectors = name ? { ...allDetectors, [name]: false } : allDetectors;
    const settings = { ...settingsOf(options, 16384), detectors };
    return new DebugAllocator(backing, settings, entry);
  };
}

test("every detector has a scene that fails without it", async (t) => {
  for (const name of Object.keys(allDetectors) as (keyof Detectors)[]) {
    const played = scenes.filter((scene) => scene.detector === name);
    assert.ok(played.length > 0, `no scene for ${name}`);
    let failed = 0;
    for (const scene of played) {
      for (const size of scene.options?.quarantine === 0 ? [100] : [100, 5000]) {
        await playScene(scene, createHeap(), size, debugWithout());
        await assert.rejects(
          playScene(scene, createHeap(), size, debugWithout(name)),
          `${scene.name} without ${name}`,
        );
        failed++;
      }
    }
    t.diagnostic(`without ${name}: all ${failed} runs of ${played.length} scenes fail`);
  }
});

test('with onReport "throw" a mistake is thrown, and the work of the call is done', () => {
  const heap = make(createHeap(), { onReport: "throw" });
  const ptr = heap.malloc(100);
  heap.u8[ptr + 100] = 1;
  heap.u8[ptr - 1] = 1;
  assert.throws(
    () => heap.free(ptr),
    (error: unknown) => {
      assert.ok(error instanceof MemoryMistake && error instanceof Error);
      assert.equal(error.name, "MemoryMistake");
      assert.equal(error.code, "ERR_HEAP_UNDERFLOW");
      assert.equal(error.ptr, ptr);
      assert.equal(error.report.size, 100);
      assert.deepEqual(
        error.others.map(({ code }) => code),
        ["ERR_HEAP_OVERFLOW"],
      );
      assert.equal(error.message, [error.report, ...error.others].map(String).join("\n"));
      return true;
    },
  );
  assert.equal(heap.stats().blocks, 0);
  assert.throws(() => heap.free(ptr), { code: "ERR_DOUBLE_FREE" });
  heap.malloc(10);
  assert.throws(() => heap.destroy(), { code: "ERR_LEAK" });
  assert.equal(heap.stats().residentBytes, 0);
  assert.throws(() => heap.destroy(), { code: "ERR_HEAP_DESTROYED" });
});

test("a report as JSON has the positions of its frames", () => {
  const reports: Report[] = [];
  const heap = make(createHeap(), { onReport: (report) => reports.push(report) });
  heap.free(0);
  const ptr = heap.malloc(3);
  heap.free(ptr);
  heap.free(ptr);
  const json = JSON.parse(JSON.stringify(reports[0]));
  assert.deepEqual(Object.keys(json), ["code", "message", "ptr", "size", "stacks"]);
  assert.equal(json.code, "ERR_DOUBLE_FREE");
  assert.deepEqual(
    json.stacks.map(({ title }: { title: string }) => title),
    ["allocated", "freed first", "freed again"],
  );
  const place = json.stacks[0].frames[0];
  assert.deepEqual(Object.keys(place).sort(), ["call", "column", "file", "line"]);
  assert.match(place.file, /mistakes\.test\.ts$/);
  assert.ok(place.line > 0 && place.column > 0);
});

test("colours are there when asked for, and nothing else differs", () => {
  const reports: Report[] = [];
  const heap = make(createHeap(), { onReport: (report) => reports.push(report) });
  heap.malloc(3);
  heap.detectLeaks();
  const [report] = reports as [Report];
  const coloured = report.format({ colours: true });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control characters
  assert.equal(coloured.replace(/\u001b\[[\d;]*m/g, ""), report.format());
  assert.ok(coloured.startsWith("\u001b[31;1mleak: 1 block of 3 bytes never freed\u001b[0m\n"));
  assert.ok(!report.format().includes("\u001b"));
});

test("resizeStackTraces keeps the first allocation and shows the last resize", async () => {
  for (const size of [100, 5000]) {
    const reports: Report[] = [];
    const heap = make(createHeap(), {
      resizeStackTraces: true,
      onReport: (report) => reports.push(report),
    });
    const ptr = heap.realloc(heap.malloc(size), size + 4);
    const moved = heap.realloc(ptr, 9 * size);
    assert.notEqual(moved, ptr);
    heap.detectLeaks();
    assert.deepEqual(
      reports[0]?.stacks.map(({ title }) => title.replace(/\(.*\)/, "()")),
      [`1 block of ${9 * size} bytes () allocated`, "resized"],
    );
    const [first, last] = reports[0]?.stacks.map(({ frames }) => frames[0]?.line ?? 0) ?? [];
    assert.equal((last as number) - (first as number), 1);
  }
});

test("without stacks a report says so, and its other lines stay", () => {
  const reports: Report[] = [];
  const heap = make(createHeap(), {
    stackTraceFrames: 0,
    onReport: (report) => reports.push(report),
  });
  const ptr = heap.malloc(10);
  heap.free(ptr);
  heap.free(ptr);
  assert.equal(
    String(reports[0]),
    `double free of the block of 10 bytes at 0x${ptr.toString(16)}\n` +
      "  freed again:\n    (no stack was taken)",
  );
});

test("a realloc of a freed block has a code of its own, other calls share one", () => {
  const reports: Report[] = [];
  const heap = make(createHeap(), { onReport: (report) => reports.push(report) });
  const ptr = heap.malloc(10);
  heap.free(ptr);
  heap.realloc(ptr, 20);
  heap.recalloc(ptr, 2, 20);
  heap.expand(ptr, 20);
  heap.usableSize(ptr);
  assert.deepEqual(
    reports.map(({ code }) => code),
    [...Array(3).fill("ERR_REALLOC_AFTER_FREE"), "ERR_USE_AFTER_FREE"],
  );
});

test("frames of scenes are where the scenes expect them", () => {
  assert.match(frame("allocate"), /return heap\.malloc\(size\);\n {6} {12}\^$/);
});
