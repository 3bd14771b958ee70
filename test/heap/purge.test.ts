/** The checked API of purges: settings, timers, stats. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createAbi, createHeap, type HeapOptions, type PurgeSettings } from "#src/heap/index.js";
import { javascript } from "#src/heap/javascript.js";
import { attachHeap, createSharedHeap } from "#src/heap/shared.js";
import { simulatedMemory, wasmMemory } from "#src/memory/index.js";
import { anyHeap } from "../support/any-heap.js";

const defaults: PurgeSettings = {
  purgeDelay: 10,
  purgeExtendDelay: 1,
  arenaPurgeMult: 10,
  purgeDecommits: true,
  purgeZeroes: false,
};

function thrown(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    return String(error);
  }
  return "nothing";
}

test("the settings are mimalloc's where the memory can give pages back", () => {
  const heap = createHeap({ backend: javascript, memory: simulatedMemory() });
  assert.deepEqual(heap.purgeSettings(), defaults);
  const changed = { ...defaults, purgeDelay: 0, purgeDecommits: false };
  assert.deepEqual(heap.purgeSettings({ purgeDelay: 0, purgeDecommits: false }), changed);
  assert.deepEqual(heap.purgeSettings(), changed);
});

test("a plain memory purges nothing unless it is asked to fill with zeros", () => {
  for (const backend of ["wasm", "js"] as const) {
    const heap = anyHeap({ backend, purgeDelay: 5 });
    assert.equal(heap.purgeSettings().purgeDelay, -1);
    const p = heap.malloc(300000);
    heap.u8.fill(7, p, p + 300000);
    heap.free(p);
    heap.collect(true);
    assert.equal(heap.u8[p], 7);
    assert.equal(heap.stats().purges, 0);
    const now = heap.purgeSettings({ purgeZeroes: true });
    assert.deepEqual([now.purgeDelay, now.purgeZeroes], [5, true], "what was asked for first");
    heap.purge(true);
    assert.ok(heap.u8.subarray(p, p + 300000).every((byte) => byte === 0));
    assert.ok(heap.stats().purges > 0);
  }
});

test("a host's timer is a clock too: each call of purge is a tick", () => {
  const memory = simulatedMemory();
  const heap = createHeap({ backend: javascript, memory, purgeDelay: 3 });
  heap.free(heap.malloc(300000));
  for (const purges of [0, 0, 1, 1]) {
    heap.purge();
    assert.equal(heap.stats().purges, purges);
  }
});

test("collect(true) gives all free slices back, collect() none; mi_collect as well", () => {
  for (const force of [(heap: ReturnType<typeof createHeap>) => heap.collect(true), abiCollect]) {
    const memory = simulatedMemory({ needsCommit: true });
    const heap = createHeap({ backend: javascript, memory });
    for (let i = 0; i < 1000; i++) heap.malloc(100);
    const p = heap.malloc(300000);
    const before = memory.committedBytes;
    heap.free(p);
    heap.collect();
    assert.equal(memory.committedBytes, before);
    force(heap);
    assert.equal(memory.committedBytes, before - 5 * 65536);
    assert.equal(heap.stats().committedBytesPeak, before);
  }
});

function abiCollect(heap: ReturnType<typeof createHeap>): void {
  (createAbi(heap).mi_collect as (force: number) => void)(1);
}

test("threads share the settings; a thread needs a source that commits where that is needed", () => {
  const source = wasmMemory({ shared: true, maximum: 2 ** 26 });
  const memory = simulatedMemory({ needsCommit: true, source });
  const heap = createSharedHeap({ memory, purgeDelay: 4 });
  const handle = heap.handle();
  const text = "the memory's pages must be committed: attach with a source that can";
  assert.equal(
    thrown(() => attachHeap(handle)),
    `RangeError: ${text}`,
  );
  const other = wasmMemory({ shared: true, maximum: 2 ** 26 });
  assert.equal(
    thrown(() => attachHeap(handle, { memory: other })),
    "TypeError: memory must be a source over the handle's memory",
  );
  const mine = attachHeap(handle, { memory });
  assert.equal(mine.purgeSettings().purgeDelay, 4);
  const p = mine.malloc(300000);
  heap.purgeSettings({ purgeDelay: 0 });
  mine.free(p);
  assert.equal(heap.stats().purgedBytes, 5 * 65536);
  assert.equal(memory.committedBytes, heap.stats().committedBytes);
  assert.deepEqual(memory.check(), []);
  mine.detach();
});

test("wrong settings are refused, as options and as settings", () => {
  const cases: [object, string][] = [
    [{ purgeDelay: "1" }, "TypeError: purgeDelay must be a number, not string"],
    [
      { purgeDelay: -2 },
      "RangeError: purgeDelay must be a whole number from -1 to 1000000, not -2",
    ],
    [
      { purgeExtendDelay: -1 },
      "RangeError: purgeExtendDelay must be a whole number from 0 to 1000000, not -1",
    ],
    [
      { arenaPurgeMult: 1001 },
      "RangeError: arenaPurgeMult must be a whole number from 0 to 1000, not 1001",
    ],
    [{ purgeDecommits: 1 }, "TypeError: purgeDecommits must be a boolean, not number"],
    [{ purgeZeroes: null }, "TypeError: purgeZeroes must be a boolean, not null"],
  ];
  const heap = createHeap();
  for (const [settings, text] of cases) {
    assert.equal(
      thrown(() => createHeap(settings as HeapOptions)),
      text,
    );
    assert.equal(
      thrown(() => heap.purgeSettings(settings)),
      text,
    );
  }
  const odd = { delay: 1 } as unknown as PurgeSettings;
  assert.equal(
    thrown(() => heap.purgeSettings(odd)),
    "TypeError: unknown setting delay",
  );
  assert.equal(
    thrown(() => heap.purgeSettings(null as unknown as PurgeSettings)),
    "TypeError: purgeSettings needs an object",
  );
  assert.deepEqual(
    heap.purgeSettings({ purgeDelay: undefined as unknown as number }).purgeDelay,
    -1,
  );
});
