/** Every mistake, on small and large blocks, over every backing allocator, in both back ends. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DebugAllocator, MemoryMistake, type Report } from "#src/debug/index.js";
import { detectors } from "#src/debug/store/switches.js";
import { createHeap } from "#src/heap/index.js";
import { backings, frame, make, scenePlay, scenes } from "./scenes.js";

const sizes = { small: 100, large: 5000 };

for (const backing of backings) {
  for (const backend of ["wasm", "js"] as const) {
    for (const [kind, size] of Object.entries(sizes)) {
      test(`${kind} blocks over ${backing.name}, ${backend}: the text of every mistake`, async () => {
        for (const scene of scenes) {
          const below = backing.create(backend);
          const door = await scenePlay(scene, below, size).catch((error) => {
            error.message = `${scene.name}: ${error.message}`;
            throw error;
          });
          // The state is whole: nothing is live, blocks can be had, and everything goes back.
          assert.equal(door.stats().blocks, 0, scene.name);
          assert.equal(door.stats().requestedBytes, 0, scene.name);
          const ptrs = [1, 100, 2000, 100_000].map((bytes) => door.malloc(bytes % 6000));
          assert.ok(ptrs.every((ptr) => ptr !== 0));
          for (const ptr of ptrs) door.free(ptr);
          assert.equal(door.deinit(), "ok", scene.name);
          assert.equal(door.stats().residentBytes, 0);
          if (below instanceof DebugAllocator) assert.equal(below.detectLeaks(), 0, scene.name);
        }
      });
    }
  }
}

test("every detector has a scene that fails without it", async (t) => {
  const names = Object.keys(detectors) as (keyof typeof detectors)[];
  for (const name of names) {
    const played = scenes.filter((scene) => scene.detector === name);
    assert.ok(played.length > 0, `no scene for ${name}`);
    let failed = 0;
    for (const scene of played) {
      for (const size of scene.options?.quarantine === 0 ? [100] : [100, 5000]) {
        await scenePlay(scene, createHeap(), size);
        detectors[name] = false;
        try {
          await assert.rejects(
            scenePlay(scene, createHeap(), size),
            `${scene.name} without ${name}`,
          );
          failed++;
        } finally {
          detectors[name] = true;
        }
      }
    }
    t.diagnostic(`without ${name}: all ${failed} runs of ${played.length} scenes fail`);
  }
});

test("a mistake is thrown when the caller wants that, with the work of the call done", () => {
  const door = make(createHeap(), { onReport: "throw" });
  const ptr = door.malloc(100);
  door.u8[ptr + 100] = 1;
  door.u8[ptr - 1] = 1;
  assert.throws(
    () => door.free(ptr),
    (error: unknown) => {
      assert.ok(error instanceof MemoryMistake && error instanceof Error);
      assert.equal(error.name, "MemoryMistake");
      assert.equal(error.code, "ERR_WRITE_BEFORE_START");
      assert.equal(error.ptr, ptr);
      assert.equal(error.report.size, 100);
      assert.deepEqual(
        error.others.map(({ code }) => code),
        ["ERR_WRITE_PAST_END"],
      );
      assert.equal(error.message, [error.report, ...error.others].map(String).join("\n"));
      return true;
    },
  );
  assert.equal(door.stats().blocks, 0);
  assert.throws(() => door.free(ptr), { code: "ERR_DOUBLE_FREE" });
  door.malloc(10);
  assert.throws(() => door.deinit(), { code: "ERR_LEAK" });
  assert.equal(door.stats().residentBytes, 0);
  assert.equal(door.deinit(), "ok");
});

test("a report is JSON for machines, with the places of its frames", () => {
  const reports: Report[] = [];
  const door = make(createHeap(), { onReport: (report) => reports.push(report) });
  door.free(0);
  const ptr = door.malloc(3);
  door.free(ptr);
  door.free(ptr);
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
  const door = make(createHeap(), { onReport: (report) => reports.push(report) });
  door.malloc(3);
  door.detectLeaks();
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
    const door = make(createHeap(), {
      resizeStackTraces: true,
      onReport: (report) => reports.push(report),
    });
    const ptr = door.realloc(door.malloc(size), size + 4);
    const moved = door.realloc(ptr, 9 * size);
    assert.notEqual(moved, ptr);
    door.detectLeaks();
    assert.deepEqual(
      reports[0]?.stacks.map(({ title }) => title.replace(/\(.*\)/, "()")),
      [`1 block of ${9 * size} bytes () allocated`, "resized"],
    );
    const [first, last] = reports[0]?.stacks.map(({ frames }) => frames[0]?.line ?? 0) ?? [];
    assert.equal((last as number) - (first as number), 1);
  }
});

test("without stacks reports say so, and the rest stays", () => {
  const reports: Report[] = [];
  const door = make(createHeap(), {
    stackTraceFrames: 0,
    onReport: (report) => reports.push(report),
  });
  const ptr = door.malloc(10);
  door.free(ptr);
  door.free(ptr);
  assert.equal(
    String(reports[0]),
    `double free of the block of 10 bytes at 0x${ptr.toString(16)}\n` +
      "  freed again:\n    (no stack was taken)",
  );
});

test("frames of scenes are where the scenes say", () => {
  assert.match(frame("allocate"), /return door\.malloc\(size\);\n {6} {12}\^$/);
});
