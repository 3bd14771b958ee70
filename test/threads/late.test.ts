/**
 * Threads whose engine does not know of another thread's growth yet: V8 tells them by an interrupt,
 * and not at all for a memory that is just being received. See docs/guide/threads.md.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { MessageChannel, Worker } from "node:worker_threads";
import { createSharedHeap, type SharedHeap } from "#src/heap/shared.js";
import { growExactly, wasmMemory } from "#src/memory/index.js";
import { anyHeap, attachAny } from "../support/any-heap.js";
import { backEnds } from "../support/core.js";
import * as L from "../support/late.js";
import { Random, seedOf } from "../support/random.js";

const ATTACHES = Number(process.env.TERRANE_ATTACHES ?? 100);

/** A memory whose buffer keeps its old length for readers, until it is grown. */
class LateMemory extends WebAssembly.Memory {
  #late: ArrayBuffer | undefined;

  hold(): void {
    this.#late = super.buffer;
  }

  override get buffer(): ArrayBuffer {
    return this.#late ?? super.buffer;
  }

  override grow(slices: number): number {
    this.#late = undefined;
    return super.grow(slices);
  }
}

function lateMemory(): LateMemory {
  return new LateMemory({ initial: 2, maximum: 4096, shared: true });
}

/** Two threads' heaps in one memory: the second one's engine is late. */
function twoHeaps(backend: "wasm" | "js"): [SharedHeap, SharedHeap, LateMemory] {
  const memory = lateMemory();
  const first = anyHeap({ shared: true, backend, memory: structuredClone(memory) });
  const second = attachAny({ ...first.handle(), memory });
  return [first, second, memory];
}

for (const backend of backEnds) {
  test(`${backend}: another thread's blocks in memory that the engine shows late are found`, () => {
    const [first, second, memory] = twoHeaps(backend);
    const length = memory.buffer.byteLength;
    memory.hold();
    const numbers = first.allocArray(Float64Array, 300000).set([1, 2, 3]);
    assert.ok(numbers.ptr + numbers.byteLength > length, "the memory has grown");
    assert.equal(memory.buffer.byteLength, length, "and its buffer has not");
    assert.equal(second.f64[(numbers.ptr >>> 3) + 1], 2, "views");
    memory.hold();
    const text = first.allocString("x".repeat(3e6));
    assert.equal(second.readString(text.ptr, text.length).length, 3e6, "strings");
    memory.hold();
    first.malloc(4e6);
    assert.ok(second.buffer.byteLength > text.ptr + 4e6, "the buffer");
    second.detach();
    first.detach();
  });

  test(`${backend}: realloc copies a block from memory that the engine shows late`, () => {
    const [first, second, memory] = twoHeaps(backend);
    memory.hold();
    const extra = first.malloc(8e6);
    const [p = 0] = [first.malloc(1e6), first.malloc(1e6)];
    first.u8.fill(7, p, p + 1e6);
    first.free(extra);
    const q = second.realloc(p, 3e6);
    assert.ok(q < p, "without growth of its own");
    assert.ok(first.u8.subarray(q, q + 1e6).every((byte) => byte === 7));
    second.free(q);
    second.detach();
    first.detach();
  });
}

test("a source reads the current length of the shared memory it gets", () => {
  const memory = lateMemory();
  memory.hold();
  (structuredClone(memory) as WebAssembly.Memory).grow(5);
  assert.equal(wasmMemory({ memory }).buffer.byteLength, 7 * 65536);
});

test(`${ATTACHES} attaches while another thread grows the memory`, async (t) => {
  const seed = seedOf(6200);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  const heap = createSharedHeap({
    memory: wasmMemory({ shared: true, growth: growExactly }),
  });
  const words = new Int32Array(new SharedArrayBuffer(4 * L.WORDS));
  const { port1, port2 } = new MessageChannel();
  const workerData = { port: port2, words, attaches: ATTACHES };
  const url = new URL("../support/late-worker.js", import.meta.url);
  const worker = new Worker(url, { workerData, transferList: [port2] });
  const exit = once(worker, "exit");
  for (let i = 1; i <= ATTACHES; i++) {
    port1.postMessage(heap.handle());
    L.say(words, L.SENT, i);
    while (Atomics.load(words, L.RECEIVES) !== i) Atomics.load(words, L.SENT);
    for (let k = random.below(400); k > 0; k--) Atomics.load(words, L.SENT);
    const p = heap.malloc(100000);
    heap.u32[p >>> 2] = i;
    Atomics.store(words, L.BLOCK, p);
    L.say(words, L.GROWN, i);
    L.hear(words, L.SEEN, i);
    assert.equal(Atomics.load(words, L.VALUE), i, "the attached thread sees the block");
  }
  port1.close();
  assert.deepEqual(await exit, [0]);
  heap.detach();
});
