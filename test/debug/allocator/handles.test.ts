/** Handles that no debug allocator has made; results in memory that a program has grown itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { attachDebug, type DebugHandle, debug } from "#src/debug/index.js";
import { createAbi } from "#src/heap/index.js";
import { createSharedHeap } from "#src/heap/shared.js";
import { thrownText } from "../../support/thrown.js";

const quiet = { reportAtExit: false, stackTraceFrames: 0 } as const;

test("forged handles are refused in words, each by the field that is wrong", () => {
  const heap = debug(createSharedHeap(), { ...quiet, threadSafe: true });
  const whole = heap.handle();
  const wrong: [string, unknown][] = [
    ["heap", undefined],
    ["heap", 5],
    ["state", undefined],
    ["state", new ArrayBuffer(8)],
    ["state", new SharedArrayBuffer(64)],
    ["options", null],
    ["options", { other: 1 }],
  ];
  for (const [field, value] of wrong) {
    assert.match(
      thrownText(() => attachDebug({ ...whole, [field]: value } as DebugHandle)),
      new RegExp(`^TypeError: handle must come from handle\\(\\) of a debug .*: its ${field} must`),
      `${field} ${String(value)}`,
    );
  }
  const { heap: below } = whole;
  assert.match(
    thrownText(() => attachDebug({ ...whole, heap: { ...below, start: 8 } })),
    /^TypeError: .*its start must be/,
  );
});

test("words and texts in shared memory that the program has grown itself are found", () => {
  for (const make of [
    () => createSharedHeap(),
    () => debug(createSharedHeap(), { ...quiet, threadSafe: true }),
  ]) {
    const heap = make();
    const memory = heap.memory as WebAssembly.Memory;
    heap.malloc(8);
    const at = memory.grow(1) * 65536;
    const words = new Uint32Array(memory.buffer);
    assert.equal(heap.posixMemalign(at, 64, 100), 0);
    assert.ok(heap.usableSize(words[at / 4] as number) >= 100);
    const { posix_memalign, reallocarr } = createAbi(heap as ReturnType<typeof createSharedHeap>);
    assert.equal(posix_memalign(at + 4, 64, 100), 0);
    assert.ok(heap.usableSize(words[at / 4 + 1] as number) >= 100);
    words[at / 4 + 2] = 0;
    assert.equal(reallocarr?.(at + 8, 10, 10), 0);
    assert.ok(heap.usableSize(words[at / 4 + 2] as number) >= 100);
    new Uint8Array(memory.buffer).set(Buffer.from("grown\0"), at + 100);
    assert.equal(heap.readString(heap.strdup(at + 100)), "grown");
    assert.match(
      thrownText(() => heap.posixMemalign(memory.buffer.byteLength, 64, 100)),
      /^RangeError: /,
    );
  }
});
