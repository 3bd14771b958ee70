/** The options of debug: which values are refused, with which texts, and the documented table. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { debug } from "#src/debug/index.js";
import { debugOptions, debugOptionsMarkdown } from "#src/debug/store/option-rows.js";
import { createHeap } from "#src/heap/index.js";

const root = new URL("../../../../", import.meta.url);

function refusal(options: object): string {
  try {
    debug(createHeap(), options);
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
  return "nothing refused";
}

test("unknown options and wrong kinds are TypeErrors", () => {
  const names = debugOptions.map(({ name }) => name).join(", ");
  assert.equal(refusal({ canery: 1 }), `TypeError: unknown option canery; known: ${names}`);
  assert.equal(refusal(null as never), "TypeError: options must be an object, not null");
  const numbers = ["stackTraceFrames", "requestedMemoryLimit", "canary", "pageSize", "quarantine"];
  for (const name of [...numbers, "sampleEvery", "seed"]) {
    assert.equal(refusal({ [name]: "1" }), `TypeError: ${name} must be a number, not string`);
  }
  const flags = ["enableMemoryLimit", "safety", "threadSafe", "neverUnmap", "retainMetadata"];
  for (const name of [...flags, "resizeStackTraces", "reportAtExit"]) {
    assert.equal(refusal({ [name]: 1 }), `TypeError: ${name} must be true or false, not number`);
  }
  assert.equal(
    refusal({ verboseLog: 1 }),
    "TypeError: verboseLog must be true or false or a function, not number",
  );
  assert.equal(
    refusal({ onReport: 1 }),
    'TypeError: onReport must be "print", "throw" or a function, not number',
  );
  assert.equal(refusal({ threadId: 1 }), "TypeError: threadId must be a function, not number");
  assert.equal(
    refusal({ threadState: new Uint8Array(4) }),
    "TypeError: threadState must be an Int32Array with a word, not object",
  );
});

test("wrong values are RangeErrors", () => {
  const limits: [name: string, from: number, to: number][] = [
    ["stackTraceFrames", 0, 64],
    ["requestedMemoryLimit", 0, Number.MAX_SAFE_INTEGER],
    ["canary", 0, 0xffffffff],
    ["pageSize", 4096, 2 ** 20],
    ["quarantine", 0, 0xffffffff],
    ["sampleEvery", 1, 2 ** 30],
    ["seed", 0, 0xffffffff],
  ];
  for (const [name, from, to] of limits) {
    for (const bad of [from - 1, to + 1, from + 0.5, Number.NaN]) {
      assert.equal(
        refusal({ [name]: bad }),
        `RangeError: ${name} must be a whole number from ${from} to ${to}, not ${bad}`,
      );
    }
  }
  assert.equal(
    refusal({ pageSize: 5000 }),
    "RangeError: pageSize must be a power of two, not 5000",
  );
  assert.equal(
    refusal({ onReport: "mail" }),
    'RangeError: onReport must be "print", "throw" or a function, not "mail"',
  );
});

test("options that exclude each other are refused", () => {
  assert.equal(
    refusal({ sampleEvery: 2, enableMemoryLimit: true }),
    "TypeError: enableMemoryLimit counts every allocation: it needs sampleEvery: 1",
  );
  assert.equal(
    refusal({ backingAllocator: createHeap() }),
    "TypeError: backingAllocator is given twice: as an argument and as an option",
  );
  assert.throws(() => debug({} as never), {
    name: "TypeError",
    message: "backingAllocator must be an allocator, a pool or a memory source",
  });
});

test("undefined counts as absent, and a backing allocator need not be given", () => {
  assert.equal(refusal({ canary: undefined, onReport: undefined }), "nothing refused");
  for (const heap of [
    debug(),
    debug(undefined, { backingAllocator: createHeap() }),
    debug(undefined, { backingAllocator: undefined }),
  ]) {
    heap.free(heap.malloc(100));
    assert.equal(heap.destroy(), "ok");
  }
});

test("the type of the options and their table have the same names", () => {
  const source = readFileSync(new URL("src/debug/store/options.ts", root), "utf8");
  const type = /export interface DebugOptions \{([^}]*)\}/.exec(source)?.[1] ?? "";
  const typed = [...type.matchAll(/^ {2}(\w+)\?:/gm)].map((match) => match[1]);
  assert.deepEqual(
    debugOptions.map(({ name }) => name),
    typed,
  );
});

test("docs/reference/options.md has the table as it is", () => {
  const page = readFileSync(new URL("docs/reference/options.md", root), "utf8");
  assert.ok(page.includes(debugOptionsMarkdown()));
});

test("verboseLog writes a line for each call", () => {
  const lines: string[] = [];
  const heap = debug(createHeap(), { verboseLog: (line) => lines.push(line), onReport: () => {} });
  const ptr = heap.malloc(100);
  const moved = heap.realloc(ptr, 200);
  heap.free(moved);
  heap.free(ptr);
  const [a, b] = [ptr, moved].map((each) => `0x${each.toString(16)}`);
  assert.deepEqual(lines, [
    `malloc 100 -> ${a}`,
    `realloc ${a} to 200 -> ${b}`,
    `free ${b} of 200`,
    `free ${a}`,
  ]);
  assert.equal(heap.destroy(), "ok");
});

test("the memory limit can be changed", () => {
  const heap = debug(createHeap(), {
    enableMemoryLimit: true,
    requestedMemoryLimit: 100,
    onReport: () => {},
  });
  const ptr = heap.malloc(100);
  assert.equal(heap.malloc(1), 0);
  heap.setRequestedMemoryLimit(101);
  heap.free(heap.malloc(1));
  assert.throws(() => heap.setRequestedMemoryLimit(-1), RangeError);
  heap.setRequestedMemoryLimit(0);
  assert.equal(heap.realloc(ptr, 95), ptr);
  heap.free(ptr);
  assert.equal(heap.destroy(), "ok");
});
