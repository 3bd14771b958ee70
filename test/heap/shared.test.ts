/** The checked API of a heap that threads share. Most threads here take turns in one. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { createHeap, HeapError } from "#src/heap/index.js";
import { javascript, sharedJavascript } from "#src/heap/javascript.js";
import { attachHeap, createSharedHeap, type HeapHandle, SharedHeap } from "#src/heap/shared.js";
import { arrayBuffer, sharedArrayBuffer, wasmMemory } from "#src/memory/index.js";
import { attachAny } from "../support/any-heap.js";

interface Kind {
  name: string;
  make(): SharedHeap;
  /** Its memory grows. */
  grows: boolean;
}

const kinds: Kind[] = [
  { name: "wasm", grows: true, make: () => createSharedHeap() },
  { name: "js", grows: false, make: () => createSharedHeap({ backend: sharedJavascript }) },
  {
    name: "js over WebAssembly.Memory",
    grows: true,
    make: () =>
      createSharedHeap({ backend: sharedJavascript, memory: wasmMemory({ shared: true }) }),
  },
];

function thrown(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    const { name, message } = error as Error;
    return error instanceof HeapError ? `${error.code}: ${message}` : `${name}: ${message}`;
  }
  return "nothing thrown";
}

/** As a Worker gets it. */
function sent(handle: HeapHandle): HeapHandle {
  const { memory, module, ...rest } = handle;
  const copy = structuredClone(rest) as HeapHandle;
  return { ...copy, ...(memory && { memory }), ...(module && { module }) };
}

for (const { name, make, grows } of kinds) {
  test(`${name}: any thread reads, resizes and frees any block`, () => {
    const heap = make();
    const mine = attachAny(sent(heap.handle()));
    assert.ok(mine instanceof SharedHeap);
    assert.notEqual(mine.threadId, heap.threadId);
    const text = heap.allocString("grüße", { terminate: true });
    assert.equal(mine.readString(text.ptr), "grüße");
    const xs = mine.allocArray(Float64Array, 1000);
    xs.array.fill(1.5);
    const ptr = heap.realloc(xs.ptr, 20000);
    assert.equal(mine.f64[ptr / 8 + 999], 1.5);
    mine.free(ptr);
    mine.free(text.ptr);
    heap.collect();
    mine.collect();
    assert.equal(heap.stats().pageBytes, 0);
    mine.detach();
    heap.detach();
  });

  if (grows) {
    test(`${name}: views that were made before another thread grew the memory stay right`, () => {
      const heap = make();
      const mine = attachAny(heap.handle());
      const before = heap.allocArray(Uint32Array, 10).set([1, 2, 3]);
      const whole = heap.u8;
      const far = mine.malloc(5e6);
      mine.u8.fill(9, far, far + 5e6);
      assert.equal(before.at(1), 2);
      assert.equal(before.array.buffer, whole.buffer, "not detached");
      assert.ok(heap.u8.length > whole.length);
      assert.equal(heap.u8[far + 4999999], 9);
      assert.equal(heap.view(Uint8Array, far, 5e6).at(-1), 9);
      heap.free(far);
      assert.equal(heap.usableSize(before.ptr), 48);
      before.free();
      heap.collect();
      assert.equal(mine.stats().pageBytes, 0);
    });
  }

  test(`${name}: detach leaves the blocks, and ends the object`, () => {
    const heap = make();
    const mine = attachAny(heap.handle());
    const ptr = mine.malloc(100);
    mine.u8[ptr] = 42;
    assert.equal(heap.stats().threads, 2);
    mine.detach();
    mine.detach();
    const { threads, abandonedPages, blocks } = heap.stats();
    assert.deepEqual(
      { threads, abandonedPages, blocks },
      { threads: 1, abandonedPages: 1, blocks: 1 },
    );
    assert.equal(heap.u8[ptr], 42);
    const gone = "ERR_HEAP_DETACHED: this thread has detached from the heap";
    for (const call of [
      () => mine.malloc(1),
      () => mine.free(ptr),
      () => mine.stats(),
      () => mine.collect(),
      () => mine.visitBlocks(() => {}),
      () => mine.handle(),
      () => mine.recover(1),
      () => mine.startWorker(() => ({ terminate() {} })),
    ]) {
      assert.equal(thrown(call), gone);
    }
    heap.free(ptr);
    heap.collect();
    assert.equal(heap.stats().pageBytes, 0);
  });

  test(`${name}: visitBlocks sees this thread's pages, and abandoned ones on request`, () => {
    const heap = make();
    const mine = attachAny(heap.handle());
    const own = [heap.malloc(100), heap.malloc(20000), heap.malloc(200000)];
    const others = [mine.malloc(100), mine.malloc(20000), mine.malloc(200000)];
    const visited = (abandoned: boolean) => {
      const found: number[] = [];
      assert.ok(heap.visitBlocks((ptr) => void found.push(ptr), { abandoned }));
      return found.sort((a, b) => a - b);
    };
    const sorted = (blocks: number[]) => [...blocks].sort((a, b) => a - b);
    assert.deepEqual(visited(true), sorted(own));
    mine.free(own[0]!);
    assert.deepEqual(visited(false), sorted(own.slice(1)), "what another thread freed is free");
    mine.detach();
    assert.deepEqual(visited(false), sorted(own.slice(1)));
    assert.deepEqual(visited(true), sorted([...own.slice(1), ...others]));
  });

  test(`${name}: statistics are added up, also of threads that have ended`, () => {
    const heap = make();
    const beats = () => heap.stats().heartbeat;
    const mine = attachAny(heap.handle());
    const before = beats();
    for (let i = 0; i < 100; i++) mine.free(mine.malloc(100000));
    const after = beats();
    assert.ok(after >= before + 100);
    mine.detach();
    assert.equal(beats(), after);
    const other = attachAny(heap.handle());
    assert.equal(beats(), after, "the area is used again, what it counted is not lost");
    const ptr = other.malloc(1000);
    const { blocks, blockBytes, pages, pageBytes } = heap.stats();
    const sizes = { blocks, blockBytes, pages, pageBytes };
    assert.deepEqual(sizes, { blocks: 1, blockBytes: 1024, pages: 1, pageBytes: 65536 });
    heap.free(ptr);
  });

  test(`${name}: recover takes what a thread left that ended without a word`, () => {
    const heap = make();
    const dead = attachAny(heap.handle());
    const ptr = dead.malloc(100);
    assert.equal(heap.recover(dead.threadId), true);
    assert.equal(heap.recover(dead.threadId), false);
    assert.equal(heap.stats().abandonedPages, 1);
    heap.free(ptr);
    heap.collect(true);
    assert.equal(heap.stats().pageBytes, 0);
  });

  test(`${name}: destroy and using detach`, () => {
    const heap = make();
    {
      using mine = attachAny(heap.handle());
      mine.malloc(1);
    }
    const mine = attachAny(heap.handle());
    mine.destroy();
    assert.equal(heap.stats().threads, 1);
  });

  test(`${name}: Workers attach, and a terminated one is recovered by itself`, async () => {
    const heap = make();
    const ended = heap.startWorker((handle) => attachWorker({ handle, stay: false }));
    const exit = once(ended, "exit");
    const [ptr] = (await once(ended, "message")) as [number];
    await exit;
    assert.equal(heap.stats().threads, 1, "it detached when it came to its end");
    assert.equal(heap.u8[ptr], 77);
    const killed = heap.startWorker((handle) => attachWorker({ handle, stay: true }));
    const [other] = (await once(killed, "message")) as [number];
    assert.equal(heap.stats().threads, 2);
    await killed.terminate();
    assert.equal(heap.stats().threads, 1);
    heap.free(ptr);
    heap.free(other);
    heap.collect(true);
    assert.equal(heap.stats().pageBytes, 0);
  });
}

function attachWorker(workerData: { handle: HeapHandle; stay: boolean }): Worker {
  return new Worker(new URL("../support/attach-worker.js", import.meta.url), { workerData });
}

test("what cannot be shared, or is not a handle, is refused", () => {
  const heap = createSharedHeap();
  const handle = heap.handle();
  const cases: [() => unknown, string][] = [
    [
      () => createSharedHeap({ memory: wasmMemory() }),
      "RangeError: createSharedHeap needs a shared memory: this WebAssembly.Memory is not shared",
    ],
    [
      () => createSharedHeap({ backend: sharedJavascript, memory: arrayBuffer() }),
      "RangeError: createSharedHeap needs a shared memory: this ArrayBuffer is not shared",
    ],
    [
      () => createHeap({ memory: wasmMemory({ shared: true }) }),
      "RangeError: a shared memory needs a heap for threads: " +
        'import { createSharedHeap } from "terrane/shared"',
    ],
    [
      () => createSharedHeap({ memory: sharedArrayBuffer() }),
      "RangeError: the wasm back end needs a WebAssembly.Memory, not SharedArrayBuffer",
    ],
    [() => attachHeap(undefined as never), "TypeError: handle must come from heap.handle()"],
    [() => attachHeap({} as never), "TypeError: handle must come from heap.handle()"],
    [
      () => attachHeap({ ...handle, terrane: 99 }),
      "RangeError: handle of version 99, not 2: all threads need one terrane",
    ],
    [
      () => attachHeap(handle, { hardening: false } as never),
      "TypeError: unknown option hardening; known: backend, memory, onError",
    ],
    [
      () => attachHeap(handle, { backend: "js" } as never),
      'TypeError: backend must be a value that is imported, not "js": ' +
        'import { sharedJavascript } from "terrane/javascript" and give ' +
        "{ backend: sharedJavascript }",
    ],
    [
      () => createSharedHeap({ backend: javascript as never }),
      "TypeError: backend must be a value that is imported, not one for a single thread: " +
        'import { sharedJavascript } from "terrane/javascript" and give ' +
        "{ backend: sharedJavascript }",
    ],
    [
      () => attachHeap(createSharedHeap({ backend: sharedJavascript }).handle()),
      "TypeError: the heap runs on the JavaScript back end: import { sharedJavascript } from " +
        '"terrane/javascript" and attach with { backend: sharedJavascript }',
    ],
    [() => heap.recover(heap.threadId), "RangeError: recover: this thread is alive"],
    [() => heap.recover("1" as never), "TypeError: threadId must be a number, not string"],
    [
      () => heap.recover(0),
      "RangeError: threadId must be a whole number from 1 to 1073741823, not 0",
    ],
  ];
  for (const [call, text] of cases) assert.equal(thrown(call), text);
  if ("growable" in SharedArrayBuffer.prototype) {
    const memory = sharedArrayBuffer({ growable: true });
    assert.equal(
      thrown(() => createSharedHeap({ backend: sharedJavascript, memory })),
      "RangeError: threads need a SharedArrayBuffer of a fixed size",
    );
  }
});

test("a handle of startWorker is for one thread, and 124 threads fit", () => {
  const heap = createSharedHeap();
  let handle: HeapHandle | undefined;
  heap.startWorker((given) => {
    handle = given;
    return { terminate() {} };
  });
  const first = attachAny(handle as HeapHandle);
  assert.equal(first.threadId, handle?.ticket);
  assert.equal(
    thrown(() => attachAny(handle as HeapHandle)),
    `ERR_NO_THREAD: attachHeap: thread ${first.threadId} is attached already`,
  );
  const threads = Array.from({ length: 122 }, () => attachAny(heap.handle()));
  assert.equal(heap.stats().threads, 124);
  assert.equal(
    thrown(() => attachAny(heap.handle())),
    "ERR_NO_THREAD: attachHeap: 124 threads and heaps are attached",
  );
  for (const thread of [first, ...threads]) thread.detach();
  assert.equal(heap.stats().threads, 1);
});

test("out of memory: one thread's full memory is another's 0, and the heap goes on", () => {
  const heap = createSharedHeap({ maximum: 2 ** 21 });
  const errors: number[] = [];
  const mine = attachAny(heap.handle(), { onError: (code) => errors.push(code) });
  const ptr = heap.malloc(1500000);
  assert.notEqual(ptr, 0);
  assert.equal(mine.malloc(1000000), 0);
  assert.deepEqual(errors, [12]);
  heap.free(ptr);
  assert.notEqual(mine.malloc(1000000), 0);
});
