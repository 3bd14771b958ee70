/** Heaps beside a heap, of the checked API; the core's part is in core/rows-heaps. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { createAbi, createHeap, type Heap, type SubHeap } from "#src/heap/index.js";
import { attachHeap, createSharedHeap } from "#src/heap/shared.js";
import { placesOf, testPlaces } from "../support/places.js";
import { thrownText } from "../support/thrown.js";

const places = placesOf(2 ** 26);

function everywhere(name: string, body: (heap: Heap) => void): void {
  testPlaces(places, name, (make) => body(make()));
}

everywhere("a heap of its own allocates, and knows its blocks and no others", (heap) => {
  const own = heap.newHeap();
  const [p, q] = [own.malloc(100), heap.malloc(100)];
  assert.deepEqual([own.contains(p), own.contains(q)], [true, false]);
  assert.deepEqual(
    [own.checkOwned(p), own.checkOwned(p + 1), own.checkOwned(q)],
    [true, false, false],
  );
  assert.deepEqual([heap.contains(p), heap.backingHeap.contains(q)], [true, true]);
  own.free(q);
  heap.free(p);
  assert.equal(own.contains(p), true, "mimalloc's quirk: also of a freed block");
  own.cfree(heap.malloc(8));
  assert.equal(heap.stats().blocks, 1, "cfree ignores what is not a block of its heap");
});

everywhere("every call allocates from its heap", (heap) => {
  const own = heap.newHeap();
  const none = heap.backingHeap;
  const calls = [
    own.malloc(10),
    own.calloc(2, 10),
    own.zalloc(10),
    own.mallocn(2, 10),
    own.realloc(0, 10),
    own.reallocn(0, 2, 10),
    own.reallocf(0, 10),
    own.rezalloc(0, 10),
    own.recalloc(0, 2, 10),
    own.memalign(64, 10),
    own.memalignAt(64, 10, 8),
    own.zallocAligned(10, 64),
    own.callocAlignedAt(2, 10, 64, 8),
    own.reallocAligned(0, 10, 64),
    own.rezallocAlignedAt(0, 10, 64, 8),
    own.valloc(10),
    own.pvalloc(10),
    own.new(10),
    own.newAligned(10, 256),
    own.newRealloc(0, 10),
    own.strdup(heap.allocString("text", { terminate: true }).ptr),
  ];
  for (const ptr of calls) assert.ok(own.contains(ptr) && !none.contains(ptr), `${ptr}`);
  own.destroy();
  assert.equal(heap.stats().blocks, 1);
});

everywhere(
  "destroy with keepBlocks: the backing heap has the blocks, and later calls throw",
  (heap) => {
    const own = heap.newHeap();
    const view = heap.view(Uint8Array, own.malloc(4), 4);
    view.set([1, 2, 3, 4]);
    const large = own.malloc(1e6);
    own.destroy({ keepBlocks: true });
    assert.deepEqual([...view.array], [1, 2, 3, 4]);
    assert.ok(heap.backingHeap.contains(view.ptr) && heap.backingHeap.contains(large));
    const ended = "HeapError: the heap has been destroyed";
    const calls = [
      () => own.malloc(1),
      () => own.contains(8),
      () => own.collect(),
      () => own.visitBlocks(() => true),
      () => own.destroy({ keepBlocks: true }),
      () => own.destroy(),
    ];
    for (const call of calls) assert.equal(thrownText(call), ended);
    own[Symbol.dispose]();
    heap.free(view.ptr);
    heap.free(large);
    assert.equal(heap.stats().blocks, 0);
  },
);

everywhere("destroy: every block is gone at once; a scope does it by itself", (heap) => {
  const kept = heap.malloc(100);
  const own = heap.newHeap();
  for (let i = 0; i < 1000; i++) own.malloc(i * 50);
  own[Symbol.dispose]();
  assert.equal(
    thrownText(() => own.malloc(1)),
    "HeapError: the heap has been destroyed",
  );
  assert.equal(heap.stats().blocks, 1);
  heap.free(kept);
  heap.collect();
  assert.equal(heap.stats().pageBytes, 0);
});

everywhere("the backing heap cannot end", (heap) => {
  const p = heap.malloc(100);
  heap.backingHeap.destroy();
  heap.backingHeap.destroy({ keepBlocks: true });
  assert.equal(heap.backingHeap.contains(p), true);
  assert.equal(heap.backingHeap, heap.backingHeap);
  heap.free(p);
});

everywhere("the default heap is where the heap's own calls allocate", (heap) => {
  const own = heap.newHeap();
  assert.equal(heap.defaultHeap, heap.backingHeap);
  assert.equal(heap.setDefaultHeap(own), heap.backingHeap);
  assert.equal(heap.defaultHeap, own);
  const p = heap.malloc(100);
  assert.ok(own.contains(p) && own.contains((createAbi(heap).malloc(100) as number) >>> 0));
  assert.ok(heap.backingHeap.contains(heap.backingHeap.malloc(100)));
  own.destroy();
  assert.equal(heap.defaultHeap, heap.backingHeap);
  const wrong = "TypeError: setDefaultHeap needs a heap that newHeap of this heap made";
  const stranger = createHeap().newHeap();
  for (const not of [own, stranger, heap, undefined]) {
    assert.equal(
      thrownText(() => heap.setDefaultHeap(not as SubHeap)),
      wrong,
    );
  }
});

everywhere("visitBlocks: of one heap with its areas, of the whole memory with all", (heap) => {
  const own = heap.newHeap();
  heap.malloc(48);
  const made = Array.from({ length: 10 }, () => own.malloc(48));
  own.free(made[4] as number);
  const log: unknown[] = [];
  const areas = ({ used, blockSize }: { used: number; blockSize: number }) => {
    log.push([used, blockSize]);
  };
  assert.equal(
    own.visitBlocks((ptr) => void log.push(ptr), { areas }),
    true,
  );
  assert.deepEqual(log, [[9, 48], ...made.filter((_, i) => i !== 4)]);
  assert.equal(own.visitBlocks(undefined, { areas: () => false }), false);
  let count = 0;
  assert.equal(
    heap.visitBlocks(() => ++count < 10),
    false,
  );
  assert.equal(count, 10);
});

everywhere("growth by one heap is seen by the views of the other", (heap) => {
  const own = heap.newHeap();
  const xs = heap.allocArray(Float64Array, 3).set([1, 2, 3]);
  const big = own.malloc(5e6);
  heap.u8[big + 4_999_999] = 7;
  assert.deepEqual([...xs.array, heap.u8[big + 4_999_999]], [1, 2, 3, 7]);
});

everywhere("ending the heap ends the heaps beside it", (heap) => {
  const own = heap.newHeap();
  heap.destroy();
  const expected = "maximum" in heap ? "" : thrownText(() => heap.malloc(1));
  assert.match(expected, /^HeapError: (the heap has been destroyed|this thread has detached)/);
  assert.equal(
    thrownText(() => own.malloc(1)),
    expected,
  );
  own[Symbol.dispose]();
});

everywhere("wrong arguments are refused as by the heap itself", (heap) => {
  const own = heap.newHeap();
  assert.match(
    thrownText(() => own.malloc(-1)),
    /^RangeError: size must be a whole number/,
  );
  assert.match(
    thrownText(() => own.free(12)),
    /^HeapError: free: 0xc is not a block of this heap/,
  );
  assert.match(
    thrownText(() => own.contains("8" as unknown as number)),
    /^TypeError: pointer must be/,
  );
  const p = own.malloc(100);
  assert.match(
    thrownText(() => heap.free(p + 8)),
    /^HeapError: free: 0x.* points into a block/,
  );
});

test("newHeap: out of memory, or of areas", () => {
  const tight = createHeap({ maximum: 2 ** 17 });
  tight.malloc(8);
  assert.equal(
    thrownText(() => tight.newHeap()),
    "HeapError: newHeap: no memory for 2048 bytes",
  );
  const heap = createSharedHeap();
  for (let i = 0; i < 123; i++) heap.newHeap();
  assert.equal(
    thrownText(() => heap.newHeap()),
    "HeapError: newHeap: no memory for 2048 bytes",
  );
  assert.equal(heap.stats().threads, 1);
});

test("another thread may free the blocks of a heap, and takes over when its thread ends", () => {
  const heap = createSharedHeap();
  const other = attachHeap(heap.handle());
  const own = other.newHeap();
  const blocks = Array.from({ length: 500 }, (_, i) => own.malloc(i * 100));
  for (const ptr of blocks.slice(0, 250)) heap.free(ptr);
  assert.equal(
    own.visitBlocks(() => true),
    true,
  );
  other.detach();
  assert.equal(
    thrownText(() => own.malloc(1)),
    "HeapError: this thread has detached from the heap",
  );
  for (const ptr of blocks.slice(250)) heap.free(ptr);
  heap.collect(true);
  assert.equal(heap.stats().blocks, 0);
});

everywhere("C programs: mi_heap_ functions over ids", (heap) => {
  const abi = createAbi(heap);
  const call = (name: string, ...args: number[]) => Number(abi[name]?.(...args)) >>> 0;
  const id = call("mi_heap_new");
  const p = call("mi_heap_malloc", id, 100);
  const q = call("mi_heap_realloc_aligned", id, p, 5000, 64);
  assert.deepEqual(
    [call("mi_heap_contains_block", id, q), call("heap_check_owned", id, q + 1)],
    [1, 0],
  );
  assert.equal(call("mi_heap_set_default", id), call("mi_heap_get_backing"));
  assert.equal(call("mi_heap_get_default"), id);
  assert.equal(call("mi_check_owned", call("malloc", 10)), 1);
  call("mi_heap_delete", id);
  assert.equal(call("mi_heap_get_default"), call("mi_heap_get_backing"));
  assert.equal(heap.backingHeap.contains(q), true);
  call("mi_heap_destroy", call("mi_heap_new"));
  call("free", q);
});
