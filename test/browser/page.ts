/** The page's part of the browser test: runs on the main thread, which may not wait. */
import type { HeapStats } from "#src/heap/index.js";
import { sharedJavascript } from "#src/heap/javascript.js";
import { createSharedHeap, type HeapHandle, type SharedHeap } from "#src/heap/shared.js";
import { blockCheck, Exchange, TABLE_WORDS } from "./exchange.js";
import type { Calls } from "./worker.js";

/** What a shared heap can stand on. */
const heaps = {
  wasm: () => createSharedHeap(),
  "js over WebAssembly.Memory": () =>
    createSharedHeap({
      backend: sharedJavascript,
      memory: new WebAssembly.Memory({ initial: 8, maximum: 4096, shared: true }),
    }),
  "js over SharedArrayBuffer": () => createSharedHeap({ backend: sharedJavascript }),
};

export type HeapKind = keyof typeof heaps;

/** A Worker and the questions that it was asked. */
class Client {
  readonly worker = new Worker("/test/browser/worker.js", { type: "module" });

  static async start(handle: HeapHandle): Promise<Client> {
    const client = new Client();
    await client.call("attach", handle);
    return client;
  }

  /** Asks, and returns what the Worker replies. One question at a time. */
  call<K extends keyof Calls>(
    name: K,
    ...args: Parameters<Calls[K]>
  ): Promise<Awaited<ReturnType<Calls[K]>>> {
    return new Promise((resolve, reject) => {
      this.worker.onerror = (event) => reject(new Error(`Worker: ${event.message}`));
      this.worker.onmessageerror = () => reject(new Error("a message could not be read"));
      this.worker.onmessage = ({ data: { fault, answer } }) => {
        if (fault === undefined) resolve(answer);
        else reject(new Error(`Worker: ${fault}`));
      };
      this.worker.postMessage([name, ...args]);
    });
  }
}

/** A Worker that the heap watches. */
function clientStart(heap: SharedHeap): Promise<Client> {
  let started: Promise<Client> | undefined;
  const client = new Client();
  heap.startWorker((handle) => {
    started = client.call("attach", handle).then(() => client);
    return client.worker;
  });
  return started as Promise<Client>;
}

function pause(ms = 0): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A test that waits in vain ends by the test runner's limit. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(5);
}

function word(heap: SharedHeap, ptr: number): Int32Array {
  return new Int32Array(heap.buffer, ptr, 1);
}

type Books = Pick<HeapStats, "blocks" | "blockBytes" | "pages" | "abandonedPages" | "threads">;

/** Of a heap whose Workers have ended. */
function books(heap: SharedHeap): Books {
  heap.collect(true);
  const { blocks, blockBytes, pages, abandonedPages, threads } = heap.stats();
  return { blocks, blockBytes, pages, abandonedPages, threads };
}

function mayWait(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0);
    return true;
  } catch {
    return false;
  }
}

/** Two Workers and this thread free each other's blocks, all at once. */
export async function exchange(kind: HeapKind, seed: number, turns: number) {
  const heap = heaps[kind]();
  const a = await clientStart(heap);
  const b = await Client.start(heap.handle());
  const threads = heap.stats().threads;
  const table = heap.calloc(TABLE_WORDS, 4);
  const gate = heap.calloc(1, 4);
  let left = 2;
  const done = [a, b].map(async (client, i) => {
    await client.call("exchange", gate, table, seed + i, turns);
    left--;
  });
  Atomics.store(word(heap, gate), 0, 1);
  Atomics.notify(word(heap, gate), 0);
  const mine = new Exchange(heap, table, seed + 2);
  let mineTurns = 0;
  const main = (async () => {
    for (; left > 0; mineTurns += 20) {
      mine.turns(20);
      await pause();
    }
  })();
  await Promise.all([...done, main]);
  await Promise.all([a.call("detach"), b.call("detach")]);
  mine.drain();
  heap.free(table);
  heap.free(gate);
  return { threads, mayWait: mayWait(), mineTurns, books: books(heap) };
}

/** Views and strings of one thread while another one grows the memory. */
export async function grow(kind: HeapKind, bytes: number) {
  const heap = heaps[kind]();
  const a = await clientStart(heap);
  const b = await Client.start(heap.handle());
  const before = heap.buffer.byteLength;
  const xs = heap.allocArray(Float64Array, 3).set([1, 2, 3]);
  const whole = xs.array;
  const text = heap.allocString("grüße 🦊", { terminate: true });
  const ys = await a.call("numbers", 4, 5, 6);
  const { block, at } = await b.call("far", bytes, "vom Ende");
  const after = heap.buffer.byteLength;
  const farther = await a.call("string", "nach dem Wachsen");
  const seen = {
    view: [...xs.array],
    typedArray: [...whole],
    string: heap.readString(text.ptr),
    stringInA: await a.call("read", text.ptr),
    stringInB: await b.call("read", farther),
    sumInA: await a.call("sum", xs.ptr, 3),
    sumInB: await b.call("sum", ys, 3),
    far: heap.readString(at),
    farInA: await a.call("read", at),
  };
  heap.free(block);
  heap.free(farther);
  await a.call("free", text.ptr);
  await b.call("free", xs.ptr);
  await b.call("free", ys);
  await Promise.all([a.call("detach"), b.call("detach")]);
  return { seen, grown: after - before, books: books(heap) };
}

/** A Worker is terminated while it allocates and frees; what it left is found and freed. */
export async function terminate(kind: HeapKind, seed: number, count: number) {
  const heap = heaps[kind]();
  const survivor = await Client.start(heap.handle());
  const victim = await clientStart(heap);
  const watched = await victim.call("watched");
  const unwatched = await survivor.call("watched");
  const table = heap.calloc(TABLE_WORDS, 4);
  const counter = heap.calloc(1, 4);
  const litter = await victim.call("litter", count);
  void victim.call("exchangeAlways", counter, table, seed);
  const mine = new Exchange(heap, table, seed + 1);
  const turns = word(heap, counter);
  await until(() => Atomics.load(turns, 0) > 500);
  victim.worker.terminate();
  await until(() => {
    mine.turns(5);
    return heap.stats().threads === 2;
  });
  const atRecovery = Atomics.load(turns, 0);
  mine.turns(1000);
  await pause(50);
  const turnsAfter = Atomics.load(turns, 0) - atRecovery;
  for (const ptr of litter) {
    blockCheck(heap, ptr);
    heap.free(ptr);
  }
  await survivor.call("detach");
  mine.drain();
  heap.free(table);
  heap.free(counter);
  // What the victim had in its hands: at most one block of its own and one from the table.
  let lost = 0;
  heap.visitBlocks(
    (ptr) => {
      lost++;
      heap.free(ptr);
    },
    { abandoned: true },
  );
  return { watched, unwatched, turnsAfter, lost, books: books(heap) };
}

/** Ends of Workers that are quick: one closes itself, one is terminated while it has no task. */
export async function end(kind: HeapKind, count: number) {
  const heap = heaps[kind]();
  const litter: number[] = [];
  for (const how of ["close", "terminate"] as const) {
    const client = await clientStart(heap);
    await client.call("watched");
    litter.push(...(await client.call("litter", count)));
    if (how === "close") await client.call("close");
    else client.worker.terminate();
    await until(() => heap.stats().threads === 1);
  }
  const { abandonedPages } = heap.stats();
  for (const ptr of litter) {
    blockCheck(heap, ptr);
    heap.free(ptr);
  }
  return { abandonedPages, books: books(heap) };
}

/** A Worker that has not got its lock yet is not taken for one that has ended. */
export async function busyStart(kind: HeapKind, seed: number, turns: number) {
  const heap = heaps[kind]();
  const table = heap.calloc(TABLE_WORDS, 4);
  const client = new Client();
  // From now on it attaches sooner than anybody gets a lock.
  await client.call("ready");
  let busy: Promise<unknown> | undefined;
  heap.startWorker((handle) => {
    busy = client.call("attachBusy", handle, table, seed, turns);
    return client.worker;
  });
  let over = false;
  const end = () => {
    over = true;
  };
  busy?.then(end, end);
  await until(() => over || heap.stats().threads === 2);
  const threads = new Set<number>();
  while (!over) {
    threads.add(heap.stats().threads);
    await pause();
  }
  await busy;
  const watched = await client.call("watched");
  threads.add(heap.stats().threads);
  client.worker.terminate();
  await until(() => heap.stats().threads === 1);
  new Exchange(heap, table, seed).drain();
  heap.free(table);
  return { threads: [...threads], watched, books: books(heap) };
}

/** What a page hears that is not cross-origin isolated. */
export function refusals(): string[] {
  return Object.values(heaps).map((create) => {
    try {
      create();
      return "no error";
    } catch (error) {
      return String(error);
    }
  });
}
