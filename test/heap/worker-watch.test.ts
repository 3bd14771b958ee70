/**
 * Whether a thread knows that its end will be seen. What browsers do is tested in test/browser; here
 * are Node, and platforms that lack something.
 */
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { attachHeap, createSharedHeap, type SharedHeap } from "#src/heap/shared.js";

const before = Object.getOwnPropertyDescriptors(globalThis);

function pretend(name: "Worker" | "navigator", value: unknown): void {
  Object.defineProperty(globalThis, name, { value, configurable: true });
}

afterEach(() => {
  for (const name of ["Worker", "navigator"] as const) {
    Reflect.deleteProperty(globalThis, name);
    if (before[name]) Object.defineProperty(globalThis, name, before[name]);
  }
});

/** A thread that startWorker has made a handle for; this one plays it. */
function started(): { owner: SharedHeap; mine: SharedHeap; exit(): void } {
  const owner = createSharedHeap();
  let mine: SharedHeap | undefined;
  let exit = () => {};
  owner.startWorker((handle) => {
    mine = attachHeap(handle);
    return {
      terminate() {},
      once(_event: "exit", listener: () => void) {
        exit = listener;
      },
    };
  });
  return { owner, mine: mine as SharedHeap, exit };
}

test("where Workers have an exit event, it is enough", async () => {
  const { owner, mine, exit } = started();
  assert.equal(await mine.watched, true);
  assert.equal(owner.stats().threads, 2);
  exit();
  assert.equal(owner.stats().threads, 1);
});

test("nobody watches who made the heap, or came with a handle for everybody", async () => {
  const heap = createSharedHeap();
  assert.equal(await heap.watched, false);
  const mine = attachHeap(heap.handle());
  assert.equal(await mine.watched, false);
  mine.detach();
});

test("Workers of the web without locks are not watched", async () => {
  pretend("Worker", class {});
  pretend("navigator", {});
  const { mine } = started();
  assert.equal(await mine.watched, false);
  mine.detach();
});

test("a platform that refuses the lock does not watch", async () => {
  pretend("Worker", class {});
  pretend("navigator", { locks: { request: () => Promise.reject(new Error("no locks here")) } });
  const { owner, mine } = started();
  assert.equal(await mine.watched, false);
  mine.detach();
  owner.detach();
});
