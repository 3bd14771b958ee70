/** The table of results. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatTable, traceTitle } from "#src/cli/replay-table.js";
import { findSharedAllocator } from "#src/trace/allocators.js";
import type { ReplayResult } from "#src/trace/index.js";
import { allocators, findTraceAllocator } from "#src/trace/index.js";

function result(allocator: string, opsPerSecond: number): ReplayResult {
  const sizes = { peakBytes: 3 << 20, peakLiveBytes: 2 << 20, fragmentation: 1.5 };
  return { trace: "a/perl.trace.gz", allocator, operations: 9, opsPerSecond, ...sizes };
}

function cells(table: string, allocator: string): string[] {
  const line = table.split("\n").find((text) => text.includes(`│ ${allocator} `)) ?? "";
  return line
    .split("│")
    .map((cell) => cell.trim())
    .slice(1, -1);
}

test("a row has millions of operations, the ratio to terrane, MiB and fragmentation", async () => {
  const table = await formatTable([result("terrane", 4e6), result("tlsf", 1e6)], false);
  const expected = ["perl", "tlsf", "1.00", "0.25x", "3.00", "2.00", "1.50"];
  assert.deepEqual(cells(table, "tlsf"), expected);
  assert.equal(cells(table, "terrane")[3], "1.00x");
});

test("a row has the number of threads, if each had a Worker of its own", async () => {
  const one = { ...result("terrane-shared", 1e6), threads: 1 };
  const table = await formatTable([{ ...one, threads: 3 }, one, result("tlsf", 1e6)], false);
  assert.equal(cells(table, "terrane-shared, 3 threads")[2], "1.00");
  assert.equal(cells(table, "terrane-shared, 1 thread")[2], "1.00");
  assert.equal(cells(table, "tlsf")[1], "tlsf");
});

test("without terrane there is no ratio", async () => {
  assert.equal(cells(await formatTable([result("tlsf", 1e6)], false), "tlsf")[3], "-");
});

test("colours only with the option", async () => {
  const sequence = "\x1b[";
  assert.ok(!(await formatTable([result("terrane", 1e6)], false)).includes(sequence));
  assert.ok((await formatTable([result("terrane", 1e6)], true)).includes(sequence));
});

test("a trace is titled by its file without folder and endings", () => {
  assert.equal(traceTitle("/a/b/perl.trace.gz"), "perl");
  assert.equal(traceTitle("perl.trace"), "perl");
  assert.equal(traceTitle("x.gz"), "x");
  assert.equal(traceTitle(".trace"), ".trace");
});

test("allocators are found by name, and the error for an unknown name lists them", () => {
  for (const allocator of allocators) assert.equal(findTraceAllocator(allocator.name), allocator);
  const message =
    'unknown allocator "jemalloc" (known: terrane, terrane-js, terrane-shared, ' +
    "terrane-shared-js, dlmalloc, tlsf, uint8array, thi.ng)";
  assert.throws(() => findTraceAllocator("jemalloc"), { name: "RangeError", message });
});

test("allocators that threads can share are found by name, others are refused", () => {
  assert.equal(findSharedAllocator("terrane-shared"), findTraceAllocator("terrane-shared"));
  const message =
    'threads cannot share "terrane" (choose one of: terrane-shared, terrane-shared-js)';
  assert.throws(() => findSharedAllocator("terrane"), { name: "RangeError", message });
});
