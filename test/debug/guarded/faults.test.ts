/** Guarded blocks with the fault handler, each test in a process of its own, because it may crash. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Child, child, os, skip, skipFaults, skipTrapFaults } from "../../support/os.js";

const root = fileURLToPath(new URL("../../../../", import.meta.url));

function scene(source: string, options: string, ...args: string[]): Child {
  return child(
    `import { createHeap } from "terrane";
     import { withOsPages } from "terrane/memory";
     import { guarded, MemoryMistake } from "terrane/debug";
     import { probe } from "${root}build/test/support/probe.js";
     const heap = createHeap({ release: withOsPages });
     const say = (report) => {
       const text = (report?.message ?? String(report)).replaceAll(/0x[0-9a-f]+/g, "P");
       const frames = report?.stacks.map(({ title, frames }) =>
         title + " " + frames.map(({ call, url }) => call || url.replace(/.*:/, "")).join(" < "));
       console.log([report?.code, text, ...(frames ?? [])].join("\\n  "));
     };
     const guardedHeap = guarded(heap, { every: 1, place: "end", onReport: say, ${options} });
     const wasm = probe(heap.memory);
     function allocate(size) { return guardedHeap.malloc(size); }
     function look() { guardedHeap.check(); }
     function release(ptr) { guardedHeap.free(ptr); }
     function touch(fn) { try { fn(); } catch (error) { say(guardedHeap.explain(error)); } }
     ${source}`,
    {},
    ...args,
  );
}

const lines = (run: Child) => {
  assert.equal(run.signal, null, run.stderr);
  assert.equal(run.status, 0, run.stderr);
  // Frames outside those of the scene are of the module itself.
  return run.stdout
    .trimEnd()
    .replaceAll(/ < (\[eval1?\]|\d+)+/g, "")
    .split("\n");
};

test("an overflow of wasm code is reported with the block and three stacks", {
  skip: skipTrapFaults,
}, () => {
  const run = scene(
    `const ptr = allocate(32);
     touch(() => wasm.write(ptr, 33));
     touch(() => wasm.load(ptr + 40));`,
    "faults: true, stackTraceFrames: 1",
  );
  const [code, message, allocated, accessed, ...second] = lines(run);
  assert.equal(code, "ERR_HEAP_OVERFLOW");
  assert.equal(message, "  write past the end of the block of 32 bytes at P: at offset 32");
  assert.equal(allocated, "  allocated allocate");
  assert.match(accessed as string, /^ {2}accessed 0x[0-9a-f]+/, "the offset in the module");
  assert.equal(second[1], "  read past the end of the block of 32 bytes at P: at offset 40");
});

test("an underflow, and a use after free, with the stack of the free", {
  skip: skipTrapFaults,
}, () => {
  const run = scene(
    `const ptr = allocate(100);
     touch(() => wasm.load(ptr - 4));
     release(ptr);
     touch(() => wasm.store(ptr + 8, 1));
     touch(() => wasm.load(ptr + 112));`,
    'faults: true, place: "start", stackTraceFrames: 1',
  );
  const printed = lines(run);
  assert.deepEqual(
    printed.filter((line) => /^ERR|block|allocated|freed /.test(line)),
    [
      "ERR_HEAP_UNDERFLOW",
      "  read before the start of the block of 100 bytes at P: at offset -4",
      "  allocated allocate",
      "ERR_USE_AFTER_FREE",
      "  write of the block of 100 bytes at P after it was freed: at offset 8",
      "  allocated allocate",
      "  freed release",
      "ERR_USE_AFTER_FREE",
      "  read past the end of the block of 100 bytes at P, which is free: at offset 112",
      "  allocated allocate",
      "  freed release",
    ],
  );
});

test("between two blocks the closer one is reported; far from any, none", {
  skip: skipTrapFaults,
}, () => {
  const run = scene(
    `const [left, right] = [allocate(64), allocate(64)];
     touch(() => wasm.load(left + 64));
     const page = heap.source.pages.pageBytes;
     touch(() => wasm.load(left + 64 + page - 4));
     touch(() => wasm.load(right + 64 + 10 * page));`,
    'faults: true, slots: 8, place: "both"',
  );
  assert.deepEqual(
    lines(run).filter((line) => /^ {2}(read|write)/.test(line)),
    [
      "  read past the end of the block of 64 bytes at P: at offset 64",
      "  read before the start of the block of 64 bytes at P: at offset -4",
      "  read at P, which is not near a guarded block",
    ],
  );
});

test("run throws the mistake, with the error of WebAssembly as its cause", {
  skip: skipTrapFaults,
}, () => {
  const run = scene(
    `const ptr = allocate(16);
     try { guardedHeap.run(() => wasm.load(ptr + 16)); }
     catch (e) { console.log(e instanceof MemoryMistake, e.code, e.ptr === ptr, e.cause.name); }
     try { guardedHeap.run(() => wasm.load(0x7fffffff)); } catch (e) { console.log(e.name); }
     console.log(guardedHeap.run(() => wasm.load(ptr)), guardedHeap.explain(new RangeError("x")));`,
    "faults: true",
  );
  assert.deepEqual(lines(run), [
    "true ERR_HEAP_OVERFLOW true RuntimeError",
    "RuntimeError",
    "0 undefined",
  ]);
});

test("accesses of JavaScript go through once and are reported, and the guard is restored", {
  skip: skipTrapFaults,
}, () => {
  const run = scene(
    `const ptr = allocate(16), other = allocate(16);
     heap.u8[ptr + 16] = 1;
     look();
     touch(() => wasm.load(ptr + 16));
     release(ptr);
     heap.u8.fill(7, ptr, ptr + 4);
     release(other);
     console.log(heap.u8[ptr]);
     allocate(16);
     wasm.fill(other, 4);
     look();
     touch(() => wasm.load(ptr));
     console.log("end");`,
    "faults: true, stackTraceFrames: 1",
  );
  assert.deepEqual(
    lines(run).filter((line) => /^\d|^end|^ {2}(read|write|found)/.test(line)),
    [
      "  write past the end of the block of 16 bytes at P: at offset 16",
      "  found look",
      "  read past the end of the block of 16 bytes at P: at offset 16",
      "  write of the block of 16 bytes at P after it was freed: at offset 0",
      "  found release",
      "0",
      "  read of the block of 16 bytes at P after it was freed: at offset 0",
      "  found allocate",
      "  write of the block of 16 bytes at P after it was freed: at offset 0",
      "  found look",
      "  read of the block of 16 bytes at P after it was freed: at offset 0",
      "end",
    ],
  );
});

test("accesses of wasm code that checks its own bounds are reported by the next check too", {
  skip: skipFaults,
}, () => {
  const run = scene(
    `const ptr = allocate(16);
     touch(() => wasm.store(ptr + 16, 1));
     look();
     release(ptr);
     touch(() => wasm.load(ptr));
     look();`,
    "faults: true, stackTraceFrames: 1",
    "--wasm-enforce-bounds-checks",
  );
  assert.deepEqual(
    lines(run).filter((line) => /^ {2}(read|write|found)/.test(line)),
    [
      "  write past the end of the block of 16 bytes at P: at offset 16",
      "  found look",
      "  read of the block of 16 bytes at P after it was freed: at offset 0",
      "  found look",
    ],
  );
});

test("a slot that a fault has opened stays accessible for its next block", {
  skip: skipTrapFaults,
}, () => {
  const run = scene(
    `const ptr = allocate(16);
     release(ptr);
     heap.u8[ptr] = 1;
     const next = allocate(16);
     heap.u8[next] = 5;
     guardedHeap.check();
     console.log(next === ptr, heap.u8[next], wasm.load(next));`,
    "faults: true, slots: 1, onReport: () => {}",
  );
  assert.deepEqual(lines(run), ["true 5 5"]);
});

test("without the handler an access of JavaScript ends the process", { skip }, () => {
  const run = scene("const p = allocate(16); heap.u8[p + 16] = 1; console.log('survived');", "");
  assert.deepEqual([run.signal, run.stdout], ["SIGSEGV", ""]);
});

test("in a Worker the same", { skip: skipTrapFaults }, (t) => {
  if (os.guardKind === "mprotect") return t.skip("guards by mprotect cannot be shared");
  const worker = `
    import("terrane/shared").then(async ({ attachHeap }) => {
      const { workerData, parentPort } = process.getBuiltinModule("node:worker_threads");
      const { guarded } = await import("terrane/debug");
      const { probe } = await import("${root}build/test/support/probe.js");
      const heap = attachHeap(workerData);
      const guardedHeap = guarded(heap, { every: 1, place: "end", faults: true, slots: 8 });
      const wasm = probe(heap.memory);
      const codes = new Set();
      for (let i = 0; i < 200; i++) {
        const ptr = guardedHeap.malloc(32);
        try { wasm.store(ptr + 32, 1); } catch (e) { codes.add(guardedHeap.explain(e).message.replace(/0x\\w+/, "P")); }
        guardedHeap.free(ptr);
      }
      guardedHeap.destroy();
      parentPort.postMessage([...codes].join());
    });`;
  const run = child(
    `import { createSharedHeap } from "terrane/shared";
     import { withOsPages } from "terrane/memory";
     import { Worker } from "node:worker_threads";
     const heap = createSharedHeap({ release: withOsPages });
     for (let i = 0; i < 2; i++) {
       new Worker(${JSON.stringify(worker)}, { eval: true, workerData: heap.handle() })
         .on("message", (text) => console.log(text)).on("error", (e) => console.log(e));
     }`,
  );
  const expected = "write past the end of the block of 32 bytes at P: at offset 32";
  assert.deepEqual(lines(run), [expected, expected]);
});

test("other threads free guarded blocks and find their sizes", { skip }, () => {
  const worker = `
    import("terrane/shared").then(({ attachHeap }) => {
      const { workerData, parentPort } = process.getBuiltinModule("node:worker_threads");
      const heap = attachHeap(workerData.handle);
      const [first, second] = workerData.ptrs;
      const sizes = [heap.usableSize(first), heap.usableSize(first + 90)];
      const moved = heap.realloc(second, 300);
      heap.free(first);
      heap.free(first);
      parentPort.postMessage([...sizes, heap.u8[moved], heap.usableSize(first)]);
    });`;
  const run = child(
    `import { createSharedHeap } from "terrane/shared";
     import { withOsPages } from "terrane/memory";
     import { guarded } from "terrane/debug";
     import { Worker } from "node:worker_threads";
     const heap = createSharedHeap({ release: withOsPages });
     const reports = [];
     const guardedHeap = guarded(heap, { every: 1, onReport: (r) => reports.push(r.code) });
     const ptrs = [heap.malloc(100), heap.malloc(50)];
     heap.u8[ptrs[1]] = 77;
     const data = { handle: heap.handle(), ptrs };
     new Worker(${JSON.stringify(worker)}, { eval: true, workerData: data })
       .on("error", (e) => console.log(e))
       .on("message", (values) => console.log(values.join(), guardedHeap.stats().blocks, reports.join()));`,
  );
  assert.deepEqual(lines(run), ["100,10,77,0 0 ERR_DOUBLE_FREE"]);
});

test("faults: true reports what is missing where there is no handler", { skip }, () => {
  const run = child(
    `import { createHeap } from "terrane";
     import { withOsPages } from "terrane/memory";
     import { guarded } from "terrane/debug";
     const heap = createHeap({ release: withOsPages });
     Object.defineProperty(process, "arch", { value: "riscv64" });
     try { guarded(heap, { faults: true }); }
     catch (error) { console.log(error.name, error.message); }`,
  );
  const missing = "the fault handler is made for x64 and arm64, not for riscv64";
  assert.equal(
    run.stdout,
    `RangeError guarded: faults: true is not possible: ${missing}\n`,
    run.stderr,
  );
});

test("without OS pages guarded reports what is missing", () => {
  const run = child(
    `import { createHeap } from "terrane";
     import { guarded } from "terrane/debug";
     try { guarded(createHeap()); } catch (error) { console.log(error.name, error.message); }`,
    { TERRANE_KOFFI: "/nowhere" },
  );
  assert.equal(
    run.stdout,
    "RangeError withOsPages needs OS pages: koffi is not installed (npm install koffi)\n",
    run.stderr,
  );
});
