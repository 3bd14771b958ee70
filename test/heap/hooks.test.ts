/** Hooks: errors, and the calls in which a program frees what it has put off. Row 101. */
import assert from "node:assert/strict";
import type { DeferredFree, Heap } from "#src/heap/index.js";
import { placesOf, testPlaces } from "../support/places.js";

const places = placesOf(2 ** 22);

function everywhere(name: string, body: (heap: Heap) => void): void {
  testPlaces(places, name, (make) => body(make()));
}

everywhere("row 101: deferred free - about 17 calls for 1000 mallocs of 64", (heap) => {
  const beats: number[] = [];
  heap.registerDeferredFree((force, heartbeat) => {
    assert.equal(force, false);
    beats.push(heartbeat);
  });
  for (let i = 0; i < 1000; i++) heap.malloc(64);
  assert.ok(beats.length >= 15 && beats.length <= 18, `${beats.length} calls`);
  assert.deepEqual(
    beats,
    beats.map((_, i) => i + 1),
  );
  heap.registerDeferredFree(undefined);
  for (let i = 0; i < 1000; i++) heap.malloc(64);
  assert.ok(beats.length <= 18);
});

everywhere("what the function allocates does not call it again; heaps beside count too", (heap) => {
  let calls = 0;
  let depth = 0;
  heap.registerDeferredFree(() => {
    calls += 1;
    depth += 1;
    assert.equal(depth, 1);
    for (let i = 0; i < 500; i++) heap.free(heap.malloc(32 * i));
    heap.collect();
    depth -= 1;
  });
  const own = heap.newHeap();
  own.malloc(100);
  assert.equal(calls, 1);
  own.collect();
  assert.equal(calls, 2);
});

everywhere("force: memory is out, and what the function frees serves the request", (heap) => {
  const hoard: number[] = [];
  const forced: boolean[] = [];
  const errors: number[] = [];
  heap.registerError((code) => errors.push(code));
  for (let p = heap.malloc(60_000); p !== 0; p = heap.malloc(60_000)) hoard.push(p);
  assert.deepEqual(errors.splice(0), [12]);
  heap.registerDeferredFree((force) => {
    forced.push(force);
    if (force) for (const p of hoard.splice(0)) heap.free(p);
  });
  assert.notEqual(heap.malloc(60_000), 0);
  assert.deepEqual(forced, [false, true]);
  assert.deepEqual(errors, []);
});

everywhere("a function that throws ends the call, and is called again later", (heap) => {
  let calls = 0;
  heap.registerDeferredFree(() => {
    calls += 1;
    if (calls === 1) throw new Error("mine");
  });
  assert.throws(() => heap.malloc(64), /^Error: mine$/);
  assert.notEqual(heap.malloc(64), 0);
  assert.equal(calls, 2);
});

everywhere("registerError takes the place of onError, and undefined means nobody", (heap) => {
  const seen: [number, number][] = [];
  heap.registerError((code, size) => seen.push([code, size]));
  assert.equal(heap.malloc(2 ** 24), 0);
  assert.deepEqual(seen, [[12, 2 ** 24]]);
  heap.registerError(undefined);
  assert.equal(heap.malloc(2 ** 24), 0);
  assert.equal(seen.length, 1);
});

everywhere("what is not a function is refused", (heap) => {
  const wrong = 7 as unknown as DeferredFree;
  const text = (what: string) => ({
    name: "TypeError",
    message: `${what} must be a function or undefined, not number`,
  });
  assert.throws(() => heap.registerDeferredFree(wrong), text("free"));
  assert.throws(() => heap.registerError(wrong as never), text("onError"));
});
