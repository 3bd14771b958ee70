/** A Worker of a browser that does on a heap what the page asks. */
import type { HeapHandle, SharedHeap } from "#src/heap/shared.js";
import { attachAny } from "../support/any-heap.js";
import { blockCreate, Exchange } from "./exchange.js";

let heap: SharedHeap;

/** What a page may ask; each answer is sent back. */
const calls = {
  /** The script has been loaded. */
  ready() {},
  attach(handle: HeapHandle) {
    heap = attachAny(handle);
    return heap.threadId;
  },
  watched: () => heap.watched,
  /** Waits for the gate, then takes part in the exchange. */
  exchange(gate: number, table: number, seed: number, turns: number) {
    const words = new Int32Array(heap.buffer, gate, 1);
    while (Atomics.load(words, 0) === 0) Atomics.wait(words, 0, 0);
    new Exchange(heap, table, seed).turns(turns);
  },
  /** Takes part for ever, and counts its turns. */
  exchangeAlways(counter: number, table: number, seed: number) {
    const words = new Int32Array(heap.buffer, counter, 1);
    const exchange = new Exchange(heap, table, seed);
    for (;;) {
      exchange.turn();
      Atomics.add(words, 0, 1);
    }
  },
  litter: (count: number) =>
    Array.from({ length: count }, (_, i) => blockCreate(heap, 8 + ((i * 37) % 5000), i)),
  string: (text: string) => heap.allocString(text, { terminate: true }).ptr,
  read: (ptr: number) => heap.readString(ptr),
  numbers: (...values: number[]) => heap.allocArray(Float64Array, values.length).set(values).ptr,
  sum: (ptr: number, length: number) =>
    heap.view(Float64Array, ptr, length).array.reduce((sum, x) => sum + x, 0),
  /** A block so large that the memory has to grow, with a text at its end. */
  far(bytes: number, text: string) {
    const block = heap.malloc(bytes);
    const at = block + bytes - 100;
    heap.u8.set(new TextEncoder().encode(`${text}\0`), at);
    return { block, at };
  },
  free: (ptr: number) => heap.free(ptr),
  /** Attaches and works in one turn of the event loop: its lock cannot come before the end. */
  attachBusy(handle: HeapHandle, table: number, seed: number, turns: number) {
    heap = attachAny(handle);
    new Exchange(heap, table, seed).turns(turns);
  },
  detach: () => heap.detach(),
  close: () => self.close(),
};

export type Calls = typeof calls;

self.addEventListener("message", async ({ data: [name, ...args] }) => {
  const call = calls[name as keyof Calls] as (...args: unknown[]) => unknown;
  try {
    self.postMessage({ answer: await call(...args) });
  } catch (error) {
    self.postMessage({ fault: String((error as Error).stack ?? error) });
  }
});
