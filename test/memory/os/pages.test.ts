/** Pages by address, and the result where there are none. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createHeap } from "#src/heap/index.js";
import { osMemory, osPages, tryOsPages, wasmMemory, withOsPages } from "#src/memory/index.js";
import { findNative, type Native } from "#src/memory/os/ffi.js";
import { GUARDS_FULL, GUARDS_LIMIT, ProtectGuards } from "#src/memory/os/guards.js";
import { numaNodes } from "#src/memory/os/numa.js";
import { OsPages } from "#src/memory/os/pages.js";
import { residencyRead } from "#src/memory/os/residency.js";
import { child, os, skip, skipTraps } from "../../support/os.js";
import { probe } from "../../support/probe.js";

const MIB = 2 ** 20;
const PAGE = skip ? 4096 : os.pageBytes;

function withEnvironment<T>(koffi: string, run: () => T): T {
  const before = process.env.TERRANE_KOFFI;
  process.env.TERRANE_KOFFI = koffi;
  try {
    return run();
  } finally {
    if (before === undefined) delete process.env.TERRANE_KOFFI;
    else process.env.TERRANE_KOFFI = before;
  }
}

test("without koffi every call reports what is missing, and heaps work", () => {
  withEnvironment("/nowhere/koffi", () => {
    const missing = "koffi is not installed (npm install koffi)";
    assert.deepEqual(osPages(), { available: false, missing });
    assert.throws(() => withOsPages(wasmMemory()), {
      name: "RangeError",
      message: `withOsPages needs OS pages: ${missing}`,
    });
    assert.throws(() => osMemory(), {
      name: "RangeError",
      message: `osMemory needs OS pages: ${missing}`,
    });
    assert.throws(() => createHeap({ release: withOsPages }), {
      name: "RangeError",
      message: `withOsPages needs OS pages: ${missing}`,
    });
    const heap = createHeap({ release: tryOsPages });
    assert.equal(heap.source.pages, undefined);
    assert.notEqual(heap.malloc(100), 0);
  });
});

test("a koffi that does not load is reported with its message", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "terrane-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "koffi.cjs");
  writeFileSync(path, 'throw new Error("wrong ELF class\\nsecond line")');
  withEnvironment(path, () => {
    assert.deepEqual(osPages(), {
      available: false,
      missing: `${path} does not load: wrong ELF class`,
    });
  });
});

test("other platforms and old versions of Node are reported without a try", () => {
  const answer = (change: string) => {
    const source = `${change}; const { osPages } = await import("terrane/memory");
      console.log(JSON.stringify(osPages()))`;
    return JSON.parse(child(source).stdout).missing;
  };
  const property = (name: string, value: string) =>
    `Object.defineProperty(process, "${name}", { value: ${value} })`;
  assert.equal(answer(property("platform", '"win32"')), "OS pages work on Linux, not yet on win32");
  const arm = `${property("platform", '"linux"')}; ${property("arch", '"arm"')}`;
  assert.equal(answer(arm), "OS pages do not know Linux on arm");
  const old = property("getBuiltinModule", "undefined");
  assert.equal(answer(old), "OS pages need Node 20.16 or newer");
});

test("native code is loaded at the first use", () => {
  const loaded = `console.log(process.report.getReport().sharedObjects
    .some((path) => path.includes("koffi")))`;
  const source = `import { createHeap } from "terrane"; import "terrane/memory";
    createHeap().malloc(10); ${loaded}`;
  assert.equal(child(source).stdout, "false\n");
});

test("reserved pages become usable by commit, and are unmapped by release", { skip }, () => {
  const at = os.reserve(64 * MIB, { alignment: 4 * MIB });
  assert.notEqual(at, 0);
  assert.equal(at % (4 * MIB), 0);
  assert.equal(os.residency(at, 64 * MIB).residentBytes, 0);
  assert.ok(os.commit(at + MIB, 10));
  const bytes = new Uint8Array(os.view(at + MIB, PAGE));
  assert.equal(bytes[PAGE - 1], 0);
  bytes[5] = 7;
  assert.equal(new Uint8Array(os.view(at + MIB, PAGE))[5], 7);
  assert.equal(os.resident(at, 64 * MIB), PAGE);
  assert.ok(os.release(at, 64 * MIB));
  assert.equal(os.resident(at, 64 * MIB), 0);
  assert.equal(os.commit(at, PAGE), false);
  assert.equal(os.lastError, 12);
  assert.equal(os.reserve(0), 0);
  assert.equal(os.reserve(2 ** 52), 0);
});

test("decommit gives memory back at once, reset when the system needs it", { skip }, () => {
  const at = os.reserve(16 * MIB, { alignment: MIB });
  os.commit(at, 16 * MIB);
  const bytes = new Uint8Array(os.view(at, 16 * MIB)).fill(1);
  assert.equal(os.residency(at, 16 * MIB).residentBytes, 16 * MIB);
  assert.ok(os.decommit(at + MIB + 1, MIB)); // covers one page less
  assert.equal(os.resident(at, 16 * MIB), 15 * MIB + PAGE);
  assert.deepEqual([bytes[MIB + PAGE - 1], bytes[MIB + PAGE], bytes[2 * MIB]], [1, 0, 1]);
  assert.ok(os.reset(at + 8 * MIB, 8 * MIB));
  const { lazyBytes, residentBytes } = os.residency(at, 16 * MIB);
  assert.ok(lazyBytes >= 7 * MIB, `${lazyBytes} bytes are for the system to take`);
  assert.ok(residentBytes <= 15 * MIB + PAGE);
  assert.ok(os.decommit(at, 0));
  assert.ok(os.decommit(at + 1, PAGE));
  assert.equal(bytes[0], 1);
  assert.ok(os.release(at, 16 * MIB));
});

test("huge pages: those of the kernel, and those of the administrator", { skip }, (t) => {
  const bytes = 4 * os.hugePageBytes;
  if (bytes === 0) return t.skip("this kernel has no huge pages");
  const at = os.reserve(bytes, { alignment: os.hugePageBytes });
  os.commit(at, bytes);
  assert.ok(os.hugePages(at, bytes));
  new Uint8Array(os.view(at, bytes)).fill(1);
  t.diagnostic(`${os.residency(at, bytes).hugeBytes} of ${bytes} bytes lie in huge pages`);
  os.release(at, bytes);
  const reserved = os.reserve(os.hugetlbBytes, { huge: true });
  if (reserved === 0) assert.equal(os.lastError, 12, "none are set aside");
  else assert.ok(os.release(reserved, os.hugetlbBytes));
});

test("NUMA: every resident byte is on a node that is online", { skip }, (t) => {
  assert.deepEqual(numaNodes("0-2,5\n"), [0, 1, 2, 5]);
  assert.deepEqual(numaNodes("0"), [0]);
  const at = os.reserve(4 * MIB);
  os.commit(at, 4 * MIB);
  new Uint8Array(os.view(at, MIB)).fill(1);
  const found = os.numaBytes(at, 4 * MIB);
  t.diagnostic(`nodes ${os.numaNodes()}, bytes ${JSON.stringify([...found])}`);
  for (const node of found.keys()) assert.ok(os.numaNodes().includes(node));
  const sum = [...found.values()].reduce((a, b) => a + b, 0);
  assert.ok(sum === os.resident(at, 4 * MIB) || sum === 0, "a kernel without NUMA says nothing");
  os.release(at, 4 * MIB);
});

test("residency adds up the mappings that a range overlaps", () => {
  const smaps = [
    "10000-30000 rw-p 00000000 00:00 0 [heap]",
    "Size:                128 kB",
    "Rss:                  64 kB",
    "LazyFree:              4 kB",
    "AnonHugePages:         0 kB",
    "Swap:                  8 kB",
    "40000-50000 ---p 00000000 00:00 0",
    "Size:                 64 kB",
    "Rss:                   0 kB",
    "",
  ].join("\n");
  const none = { sizeBytes: 0, residentBytes: 0, lazyBytes: 0, hugeBytes: 0, swapBytes: 0 };
  assert.deepEqual(residencyRead(smaps, 0, 0x10000), none);
  const first = { sizeBytes: 131072, residentBytes: 65536, lazyBytes: 4096, hugeBytes: 0 };
  assert.deepEqual(residencyRead(smaps, 0x2ffff, 0x40000), { ...first, swapBytes: 8192 });
  assert.equal(residencyRead(smaps, 0, 0x100000).sizeBytes, 196608);
});

test("a read-only page traps at a store of wasm code", { skip: skipTraps }, () => {
  const memory = new WebAssembly.Memory({ initial: 4 });
  const wasm = probe(memory);
  const at = os.addressOf(memory.buffer) + 65536;
  wasm.store(65536, 5);
  assert.ok(os.protect(at, PAGE, "read"));
  assert.equal(wasm.load(65536), 5);
  assert.throws(() => wasm.store(65536, 6), WebAssembly.RuntimeError);
  assert.ok(os.protect(at, PAGE, "none"));
  assert.throws(() => wasm.load(65536), WebAssembly.RuntimeError);
  assert.ok(os.protect(at, PAGE, "write"));
  assert.equal(wasm.load(65536), 5);
});

test("guards by mprotect: growth undoes them, renew sets them again", { skip: skipTraps }, () => {
  const native = findNative();
  assert.ok("mmap" in native);
  const guards = new ProtectGuards(native);
  const memory = new WebAssembly.Memory({ initial: 4 });
  const wasm = probe(memory);
  const base = os.addressOf(memory.buffer);
  wasm.store(8 * PAGE, 5);
  assert.equal(guards.set(base + 8 * PAGE, 4 * PAGE), 0);
  assert.throws(() => wasm.load(8 * PAGE), WebAssembly.RuntimeError);
  memory.grow(1);
  assert.equal(wasm.load(8 * PAGE), 0, "what a guard covered is lost");
  assert.equal(guards.renew(base, memory.buffer.byteLength), 0);
  assert.throws(() => wasm.load(8 * PAGE), WebAssembly.RuntimeError);
  // A hole in the middle leaves two ranges, which renew sets too.
  assert.equal(guards.clear(base + 9 * PAGE, 2 * PAGE), 0);
  assert.equal(guards.count, 2);
  memory.grow(1);
  guards.renew(base, memory.buffer.byteLength);
  for (const page of [8, 11]) assert.throws(() => wasm.load(page * PAGE), WebAssembly.RuntimeError);
  for (const page of [9, 10]) assert.equal(wasm.load(page * PAGE), 0);
  assert.equal(guards.clear(base + 7 * PAGE, 6 * PAGE), 0);
  assert.equal(guards.count, 0);
  assert.equal(wasm.load(11 * PAGE), 0);
});

test("guards by mprotect are limited before the mappings of the system run out", { skip }, () => {
  const native = findNative();
  assert.ok("mmap" in native);
  const guards = new ProtectGuards(native);
  const bytes = 2 * (GUARDS_LIMIT + 1) * PAGE;
  const at = os.reserve(bytes);
  os.commit(at, bytes);
  for (let i = 0; i < GUARDS_LIMIT; i++) assert.equal(guards.set(at + 2 * i * PAGE, PAGE), 0);
  assert.notEqual(guards.set(at + 2 * GUARDS_LIMIT * PAGE, PAGE), 0);
  assert.equal(guards.clear(at, PAGE), 0);
  assert.equal(guards.set(at + 2 * GUARDS_LIMIT * PAGE, PAGE), 0);
  assert.ok(os.release(at, bytes));
});

test("wrong arguments throw before a call of the system", { skip }, () => {
  assert.throws(() => os.decommit("1" as never, 1), {
    name: "TypeError",
    message: "address must be a number",
  });
  assert.throws(() => os.guard(0, -1), {
    name: "RangeError",
    message: "bytes must be a whole number from 0 on, not -1",
  });
  assert.throws(() => os.reserve(1, { alignment: 3 }), {
    name: "RangeError",
    message: "alignment must be a power of two, not 3",
  });
  assert.throws(() => os.view(0, 2 ** 33), {
    name: "RangeError",
    message: "view must have at most 4294967296 bytes",
  });
});

test("guards by mprotect that cannot be made or undone stay in the list as they were", () => {
  const calls: string[] = [];
  let result = 0;
  const native = {
    mprotect: (at: number, bytes: number, access: number) => {
      calls.push(`${at} ${bytes} ${access}`);
      return result;
    },
    madvise: () => 0,
  };
  const guards = new ProtectGuards(native as unknown as Native);
  assert.equal(guards.set(PAGE, 3 * PAGE), 0);
  result = -1;
  assert.equal(guards.set(2 * PAGE, PAGE), -1);
  assert.equal(guards.clear(PAGE, 2 * PAGE), -1);
  assert.equal(guards.count, 1);
  result = 0;
  calls.length = 0;
  guards.renew(0, 100 * PAGE);
  assert.deepEqual(calls, [`${PAGE} ${3 * PAGE} 0`]);
  for (let i = 1; i < GUARDS_LIMIT; i++) assert.equal(guards.set(10 * i * PAGE, PAGE), 0);
  assert.equal(guards.set(2 * PAGE, 100 * PAGE), GUARDS_FULL, "even if it takes others' place");
  assert.equal(guards.count, GUARDS_LIMIT);
});

test("buffers without an address, and unknown kinds of access", { skip }, () => {
  const buffer = new ArrayBuffer(100);
  const view = new DataView(buffer);
  assert.notEqual(os.addressOf(buffer), 0);
  structuredClone(buffer, { transfer: [buffer] });
  assert.equal(os.addressOf(buffer), 0, "detached");
  assert.equal(os.addressOf(view), 0);
  assert.throws(() => os.protect(0, 0, "exec" as never), {
    name: "RangeError",
    message: 'access must be "none", "read" or "write", not exec',
  });
});

test("reserve returns 0 for huge pages of a kernel that has none", () => {
  class Small extends OsPages {
    override get hugetlbBytes(): number {
      return 0;
    }
  }
  const guards = new ProtectGuards({} as Native);
  const pages = new Small({} as Native, PAGE, guards);
  assert.equal(pages.reserve(MIB, { huge: true }), 0);
  assert.equal(pages.lastError, 12);
});

test("resident pages are counted on both sides of a hole", { skip }, () => {
  const at = os.reserve(16 * PAGE);
  os.commit(at, 16 * PAGE);
  new Uint8Array(os.view(at, 16 * PAGE)).fill(1);
  os.release(at + 4 * PAGE, 8 * PAGE);
  assert.equal(os.resident(at, 16 * PAGE), 8 * PAGE);
  assert.equal(os.resident(at + 4 * PAGE, 8 * PAGE), 0);
  assert.equal(os.resident(at, 5 * PAGE), 4 * PAGE);
  os.release(at, 4 * PAGE);
  os.release(at + 12 * PAGE, 4 * PAGE);
});
