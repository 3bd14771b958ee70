/** Layers for memory that threads share, with real threads. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import * as L from "#src/layers/index.js";
import { modules } from "../support/checkout.js";

const { kingsley, lock, perThread, pipe, sharedBump } = L;
const layersUrl = `${modules}layers/index.js`;

function shared(words: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * words));
}

/**
 * Runs `body` in so many workers, which begin when all of them are there. `body` sees `L`, `self`
 * and `data`; resolves to what the bodies return.
 */
async function inThreads<T>(threads: number, data: object, body: string): Promise<T[]> {
  const source = `
    import { parentPort, workerData } from "node:worker_threads";
    const L = await import(${JSON.stringify(layersUrl)});
    const { self, data, here } = workerData;
    Atomics.add(here, 0, 1);
    const deadline = Date.now() + 30000;
    while (Atomics.load(here, 0) < ${threads}) {
      if (Date.now() > deadline) throw new Error("the other workers do not start");
    }
    const result = await (async () => { ${body} })();
    parentPort.postMessage(result);
  `;
  const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
  const here = shared(1);
  const workers = Array.from(
    { length: threads },
    (_, self) => new Worker(url, { workerData: { self, data, here } }),
  );
  const results = workers.map(
    (worker) =>
      new Promise<T>((resolve, reject) => {
        worker.once("message", resolve).once("error", reject);
      }),
  );
  try {
    return await Promise.all(results);
  } finally {
    for (const worker of workers) await worker.terminate(); // they may wait for one that failed
  }
}

for (const kind of ["spin", "wait"] as const) {
  test(`lock by ${kind}: threads that share a pool take turns`, async () => {
    const [word, state] = [shared(1), shared(2)];
    // A pool that needs a lock: it reads its state, waits, and writes it.
    await inThreads(
      3,
      { word, state, kind },
      `
      const { word, state, kind } = data;
      const memory = { bytes: () => new Uint8Array(0), u32: () => new Uint32Array(0) };
      const traits = { alignment: 16, sized: true, drops: false, owns: false, zeroed: false };
      const add = (at, n) => {
        const before = state[at];
        for (let i = 0; i < 100; i++) Atomics.load(state, at);
        state[at] = before + n;
      };
      const source = L.definePool("racy", traits, memory, [], {
        get: () => (add(0, 1), 16),
        put: () => add(1, 1),
        destroy() {},
      });
      const pool = L.pipe(source, L.lock(word, { kind }));
      for (let i = 0; i < 20000; i++) pool.put(pool.get(8), 8);
    `,
    );
    assert.deepEqual([...state], [60000, 60000]);
    assert.equal(word[0], 0, "no thread holds the lock");
  });
}

test("a lock is released when the pool throws", () => {
  const word = shared(2);
  const source = pipe(sharedBump(new SharedArrayBuffer(4096), shared(1)), L.check());
  for (const kind of ["spin", "wait", "none"] as const) {
    const pool = pipe(source, lock(word, { kind, index: 1 }));
    assert.throws(() => pool.put(64, 1), { code: "ERR_NOT_A_BLOCK" });
    assert.equal(word[1], 0);
    pool.put(pool.get(10), 10);
  }
});

test("sharedBump gives each thread its own bytes, and then nothing", async () => {
  const [buffer, word] = [new SharedArrayBuffer(2 ** 24), shared(1)];
  const given = await inThreads<number[]>(
    3,
    { buffer, word },
    `
    const pool = L.sharedBump(data.buffer, data.word);
    const ptrs = [];
    for (let size = 1; ; size = (size % 100) + 1) {
      const ptr = pool.get(size);
      if (ptr === 0) return ptrs;
      pool.memory.bytes().fill(self + 1, ptr, ptr + size);
      ptrs.push(ptr, size);
    }
  `,
  );
  const bytes = new Uint8Array(buffer);
  given.forEach((ptrs, self) => {
    for (let i = 0; i < ptrs.length; i += 2) {
      const block = bytes.subarray(ptrs[i]!, ptrs[i]! + ptrs[i + 1]!);
      assert.ok(block.every((byte) => byte === self + 1));
    }
  });
  assert.ok(16 * word[0]! > 2 ** 24 - 16 - 112);
});

test("perThread needs no lock, and returns blocks to the thread that allocated them", async () => {
  const threads = 3;
  const [buffer, word, mail] = [new SharedArrayBuffer(2 ** 24), shared(1), shared(threads)];
  // Threads pass blocks to each other: thread n writes to slot (n, to), and frees what it receives.
  const slots = shared(threads * threads);
  const results = await inThreads<{ bytes: number; held: number; sent: number }>(
    threads,
    { buffer, word, mail, slots, threads },
    `
    const { buffer, word, mail, slots, threads } = data;
    let own;
    const make = (source) => (own = L.kingsley(source));
    const source = L.sharedBump(buffer, word);
    const pool = L.pipe(source, L.perThread(make, { self, threads, mail }));
    const words = pool.memory.u32();
    const others = Array.from({ length: threads }, (_, i) => i).filter((i) => i !== self);
    // The diagonal of the slots passes no blocks: threads count there how far they are.
    function pause() {
      Atomics.wait(slots, others[0] * threads + others[0], -1, 0.1);
      Atomics.wait(mail, self, 0x7fffffff, 0.1);
      if (Date.now() > deadline) throw new Error("another thread does not go on");
    }
    function arrive(count) {
      Atomics.add(slots, count * (threads + 1), 1);
      while (Atomics.load(slots, count * (threads + 1)) < threads) {
        pause();
        receive();
      }
    }
    function receive() {
      for (const from of others) {
        const block = Atomics.exchange(slots, from * threads + self, 0);
        if (block === 0) continue;
        if (words[block >>> 2] !== ((block ^ from) >>> 0)) throw new Error("a block was changed");
        pool.put(block, 0);
      }
    }
    let sent = 0;
    for (let i = 0; sent < 200; i++) {
      const size = 8 + (i * 37) % 500;
      const ptr = pool.get(size);
      if (ptr === 0) throw new Error("out of memory: no block was returned");
      words[ptr >>> 2] = ptr ^ self;
      const to = others[i % others.length];
      if (Atomics.compareExchange(slots, self * threads + to, 0, ptr) === 0) sent++;
      else pool.put(ptr, size);
      receive();
      if (i % 8 === 0) pause();
    }
    arrive(0);
    receive();
    arrive(1);
    pool.put(pool.get(1), 0); // empties the mailbox
    return { ...own.stats(), sent };
  `,
  );
  for (const { bytes, sent } of results) {
    assert.equal(bytes, 0, "every block was returned");
    assert.equal(sent, 200);
  }
  assert.deepEqual([...mail], [0, 0, 0]);
});

test("no block is lost when threads put blocks into one mailbox at once", async () => {
  const [buffer, word, mail] = [new SharedArrayBuffer(2 ** 25), shared(1), shared(3)];
  const count = 300000;
  let own: L.Pool | undefined;
  const make = (source: L.Pool) => {
    own = kingsley(source);
    return own;
  };
  const pool = perThread(make, { self: 0, threads: 3, mail })(sharedBump(buffer, word));
  const ptrs = new Uint32Array(new SharedArrayBuffer(4 * count));
  for (let i = 0; i < count; i++) ptrs[i] = pool.get(32);
  assert.ok(ptrs.every((ptr) => ptr !== 0));
  await inThreads(
    2,
    { buffer, word, mail, ptrs },
    `
    const { buffer, word, mail, ptrs } = data;
    const options = { self: self + 1, threads: 3, mail };
    const pool = L.perThread(L.kingsley, options)(L.sharedBump(buffer, word));
    for (let i = self; i < ptrs.length; i += 2) pool.put(ptrs[i], 32);
  `,
  );
  pool.put(pool.get(32), 32);
  assert.deepEqual([own?.stats?.().bytes, own?.stats?.().frees], [0, count + 1]);
});

test("perThread knows sizes, and refuses blocks without a thread", () => {
  const source = sharedBump(new SharedArrayBuffer(2 ** 20), shared(1));
  const mail = shared(2);
  const [a, b] = [0, 1].map((self) => perThread(kingsley, { self, threads: 2, mail })(source));
  const ptr = a!.get(100);
  assert.equal(b!.sizeOf(ptr), 100);
  b!.put(ptr, 0);
  assert.equal(mail[0], ptr);
  assert.equal(a!.get(100), ptr, "from the mailbox");
  a!.memory.u32()[(ptr - 4) / 4] = 77;
  assert.throws(() => a!.put(ptr, 0), { code: "ERR_NOT_A_BLOCK" });
});

const unshared = new Int32Array(2);
const refusals: [() => unknown, string][] = [
  [() => lock(1 as never), "TypeError: lock: needs an Int32Array"],
  [() => lock(unshared), "TypeError: lock: the Int32Array must lie in a SharedArrayBuffer"],
  [() => lock(shared(1), { index: 1 }), "RangeError: lock: the Int32Array has no element 1"],
  [
    () => lock(shared(1), { kind: "hope" as never }),
    'RangeError: lock: kind must be "spin", "wait" or "none", not hope',
  ],
  [
    () => sharedBump(new SharedArrayBuffer(64), unshared),
    "TypeError: sharedBump: the Int32Array must lie in a SharedArrayBuffer",
  ],
  [
    () => sharedBump(new SharedArrayBuffer(64), shared(1), { to: 65 }),
    "RangeError: sharedBump: to must be at most 64, not 65",
  ],
  [
    () => perThread(kingsley, { self: 2, threads: 2, mail: shared(2) }),
    "RangeError: perThread: self must be a whole number from 0 to 1, not 2",
  ],
  [
    () => perThread(kingsley, { self: 0, threads: 3, mail: shared(2) }),
    "RangeError: perThread: the Int32Array has no element 2",
  ],
  [
    () => perThread(1 as never, { self: 0, threads: 1, mail: shared(1) }),
    "TypeError: perThread: make must be a function",
  ],
];

for (const [make, text] of refusals) {
  test(text, () => {
    assert.throws(make, (error) => String(error) === text);
  });
}
