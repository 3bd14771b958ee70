/** The pages of every kind of source, against a shadow copy and the counts of the kernel. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { createHeap } from "#src/heap/index.js";
import { javascript } from "#src/heap/javascript.js";
import {
  arrayBuffer,
  growEighth,
  type MemorySource,
  osMemory,
  sharedArrayBuffer,
  wasmMemory,
  withOsPages,
} from "#src/memory/index.js";
import { withPages } from "#src/memory/os/source-pages.js";
import { collect, os, residentOf, skip, skipTraps } from "../../support/os.js";
import { probe } from "../../support/probe.js";
import { Random, seedOf } from "../../support/random.js";

const MIB = 2 ** 20;
const SLICE = 65536;
const PAGE = skip ? 4096 : os.pageBytes;
const initial = 4 * MIB;

const Resizable = ArrayBuffer as unknown as new (
  bytes: number,
  options: { maxByteLength: number },
) => ArrayBuffer;

/** Each kind, and whether its pages can be made inaccessible. */
const kinds: [string, () => MemorySource, boolean][] = [
  ["wasm memory", () => withOsPages(wasmMemory({ initial })), true],
  ["shared wasm memory", () => withOsPages(wasmMemory({ initial, shared: true })), true],
  ["ArrayBuffer", () => withOsPages(arrayBuffer({ initial })), false],
  [
    "small ArrayBuffer",
    () => withOsPages(arrayBuffer({ buffer: new ArrayBuffer(5 * SLICE) })),
    false,
  ],
  [
    "resizable ArrayBuffer",
    () =>
      withOsPages(arrayBuffer({ buffer: new Resizable(initial, { maxByteLength: 2 * initial }) })),
    true,
  ],
  ["SharedArrayBuffer", () => withOsPages(sharedArrayBuffer({ maximum: initial })), false],
  [
    "growable SharedArrayBuffer",
    () => withOsPages(sharedArrayBuffer({ initial, maximum: 2 * initial, growable: true })),
    true,
  ],
  ["OS memory", () => osMemory({ initial }), true],
];

for (const [name, create, canProtect] of kinds) {
  test(`${name}: capabilities tell that it can release, and whether it can protect`, {
    skip,
  }, () => {
    const { capabilities, pages } = create();
    assert.equal(capabilities.canRelease, true);
    const shared = os.guardKind === "mprotect" && capabilities.shared && capabilities.canGrow;
    assert.equal(capabilities.canProtect, canProtect && !shared);
    assert.equal(pages?.pageBytes, PAGE);
    assert.equal(pages?.needsCommit, false);
  });

  test(`${name}: a decommitted range is zero, and other bytes do not change`, { skip }, (t) => {
    const seed = seedOf(7401);
    t.diagnostic(`TERRANE_SEED=${seed}`);
    const random = new Random(seed);
    const source = create();
    const { pages } = source;
    assert.ok(pages);
    const bytes = new Uint8Array(source.buffer);
    const shadow = new Uint8Array(bytes.length);
    for (let step = 0; step < 200; step++) {
      const at = random.below(bytes.length);
      const size = random.skewed(1, bytes.length);
      if (random.chance(50)) {
        bytes.fill(step, at, at + size);
        shadow.fill(step, at, at + size);
      } else {
        assert.ok(pages.decommit(at, size));
        const end = Math.min(at + size, bytes.length);
        const [first, last] = [Math.ceil(at / PAGE) * PAGE, Math.floor(end / PAGE) * PAGE];
        shadow.fill(0, first, Math.max(first, last));
      }
    }
    assert.ok(Buffer.from(bytes).equals(Buffer.from(shadow)));
  });

  test(`${name}: the memory is back at once`, { skip }, () => {
    const source = create();
    const { pages, buffer } = source;
    assert.ok(pages);
    const bytes = new Uint8Array(buffer).fill(1);
    assert.equal(pages.resident?.(0, bytes.length), bytes.length);
    assert.ok(pages.decommit(SLICE, bytes.length - 2 * SLICE));
    // A buffer that begins in the middle of a page keeps a page at each end.
    const left = pages.resident?.(0, bytes.length) as number;
    assert.ok(left <= 2 * SLICE + 2 * PAGE, `${left} bytes are left`);
    assert.equal(bytes[SLICE - 1], 1);
    assert.equal(bytes[SLICE], 0);
    assert.ok(pages.commit(SLICE, PAGE));
    bytes[SLICE] = 2;
    assert.ok(pages.reset(0, bytes.length));
    assert.ok([0, 2].includes(bytes[SLICE] as number));
  });

  test(`${name}: no call reaches beyond the memory`, { skip }, () => {
    const { pages, buffer, capabilities } = create();
    assert.ok(pages);
    for (const call of ["decommit", "reset", "unprotect"] as const) {
      assert.equal(pages[call](buffer.byteLength, 2 ** 40), true);
      assert.equal(pages[call](-(2 ** 40), 2 ** 40), true);
      assert.equal(pages[call](Number.NaN, 5), true);
    }
    assert.equal(pages.resident?.(buffer.byteLength, 2 ** 40), 0);
    if (!capabilities.canProtect) assert.equal(pages.protect(0, PAGE), false);
    else assert.equal(pages.protect(buffer.byteLength, 2 ** 40), true);
  });
}

test("a source with operations keeps them, and its growth", { skip }, () => {
  const source = withOsPages(wasmMemory());
  assert.equal(withOsPages(source), source);
  const before = source.buffer.byteLength / SLICE;
  const answer = source.grow(3);
  assert.equal(answer & 0xffff, before);
  assert.ok(source.buffer.byteLength / SLICE >= before + 3);
});

test("huge pages and NUMA of a source stay", { skip }, () => {
  const huge = { pageBytes: 2 ** 21, reserve: () => ({ address: 0, pages: 0 }) };
  const numa = { nodes: 2, node: 1 };
  const source = withOsPages({ ...wasmMemory({ shared: true }), huge, numa });
  assert.equal(source.huge, huge);
  assert.equal(source.numa, numa);
});

for (const shared of [false, true]) {
  const kind = shared ? "a shared wasm memory" : "a wasm memory";
  test(`${kind}: protected pages trap in wasm code, also after a growth`, {
    skip: skipTraps,
  }, (t) => {
    const source = withOsPages(wasmMemory({ initial: MIB, shared }));
    if (!source.capabilities.canProtect) return t.skip("guards by mprotect cannot be shared");
    const { pages, memory } = source;
    assert.ok(pages && memory);
    const wasm = probe(memory);
    wasm.store(2 * SLICE, 77);
    assert.ok(pages.protect(2 * SLICE + 1, 3 * PAGE));
    assert.equal(wasm.load(2 * SLICE), 77);
    const trap = { name: "RuntimeError", message: /memory access out of bounds/ };
    assert.throws(() => wasm.load(2 * SLICE + PAGE), trap);
    assert.throws(() => wasm.store(2 * SLICE + PAGE - 2, 1), trap, "across the border");
    assert.throws(() => wasm.write(2 * SLICE, 2 * PAGE), trap);
    assert.notEqual(source.grow(5), 0);
    assert.throws(() => wasm.load(2 * SLICE + PAGE), trap);
    assert.ok(pages.unprotect(2 * SLICE + PAGE, 2 * PAGE));
    assert.equal(wasm.load(2 * SLICE + PAGE), 0);
  });
}

test("guards that growth undoes are set again; shared memories have none", {
  skip: skipTraps,
}, async () => {
  const { OsPages } = await import("#src/memory/os/pages.js");
  const { ProtectGuards } = await import("#src/memory/os/guards.js");
  const { findNative } = await import("#src/memory/os/ffi.js");
  const native = findNative();
  assert.ok("mmap" in native);
  const old = new OsPages(native, PAGE, new ProtectGuards(native));
  assert.equal(old.guardKind, "mprotect");
  const source = withPages(wasmMemory({ initial: MIB }), old);
  const wasm = probe(source.memory as WebAssembly.Memory);
  assert.ok(source.pages?.protect(4 * SLICE, PAGE));
  assert.notEqual(source.grow(5), 0);
  assert.throws(() => wasm.load(4 * SLICE), WebAssembly.RuntimeError);
  assert.ok(source.pages?.unprotect(4 * SLICE, PAGE));
  assert.equal(wasm.load(4 * SLICE), 0);
  const shared = withPages(wasmMemory({ shared: true, maximum: MIB }), old);
  assert.equal(shared.capabilities.canProtect, false);
  assert.equal(shared.pages?.protect(0, PAGE), false);
});

test("OS memory grows in place: no byte moves, old views stay valid", { skip }, () => {
  const source = osMemory({ maximum: 64 * MIB });
  const old = new Uint8Array(source.buffer);
  old[SLICE] = 7;
  const address = os.addressOf(source.buffer);
  assert.equal(source.address, address);
  while (source.grow(1) !== 0);
  assert.equal(source.buffer.byteLength, 64 * MIB);
  assert.equal(os.addressOf(source.buffer), address);
  assert.equal(new Uint8Array(source.buffer)[SLICE], 7);
  old[SLICE] = 8;
  assert.equal(new Uint8Array(source.buffer)[SLICE], 8);
  assert.equal(residentOf(source.buffer), PAGE);
});

test("a heap over OS memory gives the same addresses as over other memory", { skip }, (t) => {
  const seed = seedOf(7402);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  const mine = createHeap({ backend: javascript, memory: osMemory({ growth: growEighth }) });
  const other = createHeap({ backend: javascript });
  const live: number[] = [];
  for (let step = 0; step < 3000; step++) {
    if (live.length > 0 && random.chance(40)) {
      const [ptr] = live.splice(random.below(live.length), 1) as [number];
      mine.free(ptr);
      other.free(ptr);
      continue;
    }
    const size = random.skewed(1, 300_000);
    const ptr = mine.malloc(size);
    assert.equal(ptr, other.malloc(size));
    mine.u8.fill(step, ptr, ptr + Math.min(size, 100));
    live.push(ptr);
  }
  assert.ok(mine.buffer.byteLength > 16 * MIB);
});

test("OS memory goes back when it cannot be reached any more", { skip }, async () => {
  const at = (() => osMemory({ maximum: 64 * MIB }).address)();
  const kept = osMemory({ maximum: 64 * MIB });
  const view = new Uint8Array(kept.buffer);
  kept.grow(100);
  await collect();
  assert.equal(os.commit(at, PAGE), false, "the address space is free");
  assert.equal(os.commit(kept.address, PAGE), true);
  view[5] = 1;
  assert.equal(new Uint8Array(kept.buffer)[5], 1);
});

test("OS memory throws for options out of range", { skip }, () => {
  assert.throws(() => osMemory({ maximum: SLICE }), {
    name: "RangeError",
    message: `maximum must be at least ${2 * SLICE} bytes, not ${SLICE}`,
  });
  assert.throws(() => osMemory({ initial: -1 }), { name: "RangeError" });
  const source = `import { osMemory } from "terrane/memory";
    try { for (;;) globalThis.kept = [globalThis.kept, osMemory()]; }
    catch (e) { console.log(e.name, e.message.replace(/\\d+ bytes/, "N bytes")); }`;
  const { stdout } = spawnSync(
    "sh",
    ["-c", 'ulimit -v 40000000; exec "$0" --input-type=module -e "$1"', process.execPath, source],
    { encoding: "utf8" },
  );
  assert.equal(
    stdout,
    "RangeError osMemory: no N bytes of address space (errno 12): pass a smaller maximum\n",
  );
});
