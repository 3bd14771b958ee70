/** C's functions: errno by ABI, heaps by id, functions of the program, options, arenas. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { debug } from "#src/debug/index.js";
import {
  type AbiOptions,
  createAbi,
  createHeap,
  type Heap,
  options,
  registerOutput,
} from "#src/heap/index.js";
import { javascript } from "#src/heap/javascript.js";
import { createSharedHeap } from "#src/heap/shared.js";
import { simulatedMemory } from "#src/memory/index.js";
import { createHardenedMalloc } from "#src/sizeclass/index.js";
import { thrownText } from "../../support/thrown.js";

type Abi = Record<string, (...args: (number | bigint)[]) => number>;

const quiet = { reportAtExit: false, onReport: () => {}, stackTraceFrames: 0 } as const;

const heaps: Record<string, () => Heap> = {
  wasm: () => createHeap(),
  js: () => createHeap({ backend: javascript }),
  "wasm, shared": () => createSharedHeap(),
};

function abiOf(heap: Heap, more?: AbiOptions): Abi {
  return createAbi(heap, more) as unknown as Abi;
}

/** A table with one function, which a module that calls it through WebAssembly has made. */
function tableOf(call: (...args: number[]) => unknown, params: number, result: boolean) {
  const types = Array.from({ length: params }, () => 0x7f);
  const results = result ? [1, 0x7f] : [0];
  const type = [0x60, params, ...types, ...results];
  const bytes = [
    [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    [1, type.length + 1, 1, ...type],
    [2, 7, 1, 1, 0x65, 1, 0x66, 0, 0],
    [4, 4, 1, 0x70, 0, 8],
    [7, 5, 1, 1, 0x74, 1, 0],
    [9, 7, 1, 0, 0x41, 5, 0x0b, 1, 0],
  ].flat();
  const module = new WebAssembly.Module(Uint8Array.from(bytes));
  const e = { f: call };
  return new WebAssembly.Instance(module, { e }).exports.t as WebAssembly.Table;
}

for (const [name, make] of Object.entries(heaps)) {
  test(`${name}: functions for wasm return WASI's errno, methods and "linux" those of Linux`, () => {
    const heap = make();
    for (const [abi, invalid, memory] of [
      [abiOf(heap), 28, 48],
      [abiOf(heap, {}), 28, 48],
      [abiOf(heap, { errno: "linux" }), 22, 12],
      [abiOf(debug(createHeap(), quiet) as unknown as Heap), 28, 48],
    ] as const) {
      const out = abi.calloc?.(1, 4) as number;
      assert.equal(abi.posix_memalign?.(out, 3, 32), invalid);
      assert.equal(abi.posix_memalign?.(out, 8, 0xffffffff), memory);
      assert.equal(abi.mi_posix_memalign?.(0, 8, 8), invalid);
      assert.equal(abi.posix_memalign?.(out, 8, 8), 0);
      assert.equal(abi.reallocarr?.(0, 1, 1), invalid);
      assert.equal(abi.dupenv_s?.(0, 0, out), invalid);
      assert.equal(abi.wdupenv_s?.(0, 0, out), invalid);
    }
    assert.equal(heap.posixMemalign(heap.malloc(4), 3, 32), 22);
    assert.equal(abiOf(heap).mi_reserve_os_memory?.(-1, 0, 0), 48);
    assert.equal(abiOf(heap).mi_reserve_huge_os_pages_at?.(1, -1, 0), 48);
  });

  test(`${name}: mi_heap_set_default(NULL) and other numbers that name nothing change nothing`, () => {
    const heap = make();
    const abi = abiOf(heap);
    const before = abi.mi_heap_get_default?.();
    const bytes = heap.u8.slice(0, heap.source.start);
    for (const bad of [0, 16, 4096, heap.source.start, 0xfffffff0, heap.malloc(4096)]) {
      assert.equal(abi.mi_heap_set_default?.(bad), 0);
      assert.equal(abi.mi_heap_malloc?.(bad, 8), 0);
      abi.mi_heap_delete?.(bad);
      abi.mi_heap_destroy?.(bad);
      abi.mi_heap_collect?.(bad, 1);
    }
    for (let i = 1; i < 100; i++) assert.notEqual(abi.mi_malloc?.(8 * i), 0);
    assert.equal(abi.mi_heap_get_default?.(), before);
    assert.deepEqual(heap.u8.slice(0, heap.source.start), bytes);
    const made = abi.mi_heap_new?.() as number;
    assert.equal(abi.mi_heap_set_default?.(made), before);
    assert.equal(abi.mi_heap_set_default?.(before as number), made);
    abi.mi_heap_delete?.(made);
    assert.equal(abi.mi_heap_set_default?.(made), 0, "it has ended");
  });

  test(`${name}: an overflow of new calls the handler once`, () => {
    const heap = make();
    const abi = abiOf(heap);
    let calls = 0;
    heap.setNewHandler(() => void calls++);
    for (const call of [
      () => abi.mi_new_n?.(0x10000, 0x10001),
      () => abi.mi_heap_alloc_new_n?.(abi.mi_heap_get_default?.() as number, 0x10000, 0x10001),
      () => abi.mi_new_reallocn?.(0, 0x10000, 0x10001),
      () => heap.newN(0x10000, 0x10001),
      () => heap.newReallocn(0, 2, 2 ** 31 - 1),
      () => heap.newNothrow(2 ** 31),
      () => heap.newAlignedNothrow(2 ** 31, 64),
    ]) {
      calls = 0;
      assert.deepEqual([call(), calls], [0, 1]);
    }
    for (const call of [
      () => abi._Znwm?.(-1),
      () => abi._ZnwmSt11align_val_t?.(-1, 64),
      () => abi.mi_new_realloc?.(0, -1),
      () => heap.new(2 ** 31),
    ]) {
      calls = 0;
      assert.match(thrownText(call), /no memory for/);
      assert.equal(calls, 1);
    }
    heap.setNewHandler(undefined);
    assert.match(
      thrownText(() => heap.newN(0x10000, 0x10001)),
      /^HeapError: new: no memory/,
    );
  });

  test(`${name}: mallinfo has the heap's numbers`, () => {
    const heap = make();
    const out = heap.calloc(10, 4);
    heap.malloc(100_000);
    for (const call of ["mallinfo", "mallinfo2"]) {
      abiOf(heap)[call]?.(out);
      const stats = heap.stats();
      const words = [...heap.u32.slice(out / 4, out / 4 + 10)];
      assert.deepEqual(
        [words[0], words[7], words[8]],
        [stats.heapBytes, stats.blockBytes, stats.heapBytes - stats.blockBytes],
      );
      assert.equal(words[5], stats.pageBytesPeak);
    }
  });

  test(`${name}: functions of the program are called through its table`, () => {
    const heap = make();
    const texts: string[] = [];
    const output = tableOf((text, arg) => texts.push(`${arg} ${heap.readString(text)}`), 2, false);
    const abi = abiOf(heap, { table: () => output });
    try {
      abi.mi_register_output?.(5, 77);
      abi.mi_debug_show_arenas?.();
      abi.mi_stats_print_out?.(5, 78);
      abi.mi_thread_stats_print_out?.(5, 79);
      assert.ok(texts.some((text) => text.startsWith("77 ")) || texts.length >= 2);
      assert.ok(texts.some((text) => /^78 \S/.test(text)));
      assert.ok(texts.some((text) => /^79 /.test(text)));
    } finally {
      registerOutput(() => {});
      registerOutput(undefined);
    }

    const errors: number[][] = [];
    abiOf(heap, {
      table: tableOf((code, arg) => errors.push([code, arg]), 2, false),
    }).mi_register_error?.(5, 9);
    abi.malloc?.(-1);
    assert.deepEqual(new Set(errors.map(String)), new Set(["61,9", "48,9"]));
    abi.mi_register_error?.(0, 0);

    let beats = 0;
    const deferred = () => void beats++;
    const fake = new WebAssembly.Table({ initial: 1, element: "anyfunc" });
    assert.match(
      thrownText(() => abiOf(heap, { table: fake }).mi_register_error?.(0x10000, 0)),
      /^RangeError: mi_register_error: the table of 1 entries has no function 65536$/,
    );
    heap.registerDeferredFree(deferred);
    heap.collect(true);
    abi.mi_register_deferred_free?.(0, 0);
    assert.ok(beats >= 0);
    assert.match(
      thrownText(() => abiOf(heap).mi_register_output?.(5, 0)),
      /^TypeError: mi_register_output takes a function .*--export-table .*createAbi \{ table: /,
    );
  });

  test(`${name}: mi_heap_visit_blocks shows the areas and blocks of one heap`, () => {
    const heap = make();
    const sub = heap.newHeap();
    const blocks = [100, 100, 20_000, 300_000].map((size) => sub.malloc(size));
    heap.malloc(100);
    const seen: [number, number][] = [];
    let areas = 0;
    const visit = (id: number, area: number, block: number, size: number, arg: number) => {
      assert.deepEqual([id, arg], [sub.id, 7]);
      const [start, reserved] = heap.u32.slice(area / 4, area / 4 + 2) as unknown as number[];
      if (block === 0) areas += 1;
      else {
        seen.push([block, size]);
        assert.ok(block >= (start as number));
        assert.ok(block + size <= (start as number) + (reserved as number));
      }
      return 1;
    };
    const abi = abiOf(heap, { table: tableOf(visit, 5, true) });
    assert.equal(abi.mi_heap_visit_blocks?.(sub.id, 1, 5, 7), 1);
    assert.deepEqual(
      seen.map(([block]) => block).sort((a, b) => a - b),
      [...blocks].sort((a, b) => a - b),
    );
    assert.ok(areas >= 3);
    seen.length = 0;
    assert.equal(abi.mi_heap_visit_blocks?.(sub.id, 0, 5, 7), 1);
    assert.equal(seen.length, 0, "areas alone");
    assert.equal(abi.mi_heap_visit_blocks?.(0, 1, 5, 7), 0, "NULL is not a heap");
    const stop = abiOf(heap, { table: tableOf(() => 0, 5, true) });
    assert.equal(stop.mi_heap_visit_blocks?.(sub.id, 1, 5, 7), 0);
    assert.equal(heap.stats().blocks, 5, "nothing is left behind");
  });

  test(`${name}: mi_thread_done ends the sub-heaps, whose blocks stay`, () => {
    const heap = make();
    const abi = abiOf(heap);
    const sub = heap.newHeap();
    const ptr = sub.malloc(100);
    const other = abi.mi_heap_new?.() as number;
    const second = (abi.mi_heap_malloc?.(other, 100) as number) >>> 0;
    heap.setDefaultHeap(sub);
    abi.mi_thread_done?.();
    assert.equal(heap.defaultHeap, heap.backingHeap);
    assert.match(
      thrownText(() => sub.malloc(1)),
      /destroyed/,
    );
    assert.equal(abi.mi_heap_malloc?.(other, 8), 0);
    assert.ok(heap.backingHeap.contains(ptr) && heap.backingHeap.contains(second));
    heap.free(ptr);
    heap.free(second);
    assert.notEqual(abi.malloc?.(8), 0);
  });
}

test("the hardened malloc returns WASI's errno too", () => {
  const { abi } = createHardenedMalloc();
  assert.equal(abi.posix_memalign(0, 16, 1), 28);
});

test("createAbi refuses options that it does not know, and for what brings its own functions", () => {
  const heap = createHeap();
  const wrong = (more: unknown) => thrownText(() => createAbi(heap, more as object));
  assert.equal(wrong({ errno: "bsd" }), 'RangeError: errno must be "wasi" or "linux", not bsd');
  assert.match(wrong({ table: 5 }), /^TypeError: table must be a WebAssembly.Table or/);
  assert.match(wrong({ tables: 5 }), /^TypeError: .*tables/);
});

test("an option that C sets holds for the heap that exists", () => {
  try {
    const heap = createHeap({
      backend: javascript,
      memory: simulatedMemory({ needsCommit: true }),
    });
    const abi = abiOf(heap);
    abi.mi_option_set?.(15, 0);
    assert.equal(heap.purgeSettings().purgeDelay, 0);
    const before = heap.stats().committedBytes;
    abi.mi_free?.(abi.mi_malloc?.(1e6) as number);
    assert.equal(heap.stats().committedBytes, before);
    abi.mi_option_set?.(15, -1);
    assert.equal(heap.purgeSettings().purgeDelay, -1);
    abi.mi_option_set_enabled?.(5, 0);
    abi.mi_option_disable?.(5);
    assert.equal(heap.purgeSettings().purgeDecommits, false);
    abi.mi_option_set?.(1000, 1);
  } finally {
    options.set("purgeDelay", 10);
    options.set("purgeDecommits", 1);
  }
});

test("arenas of large pages are pinned: mi_manage_os_memory never purges them", () => {
  for (const large of [0, 1]) {
    const memory = simulatedMemory({ needsCommit: true });
    const heap = createHeap({ backend: javascript, memory });
    const abi = abiOf(heap);
    const end = memory.buffer.byteLength;
    memory.grow(16);
    const id = heap.malloc(16);
    const at = end + 4 * 65536;
    assert.equal(abi.mi_manage_os_memory_ex?.(at, 8 * 65536, 1, large, 1, -1, 1, id), 1);
    const arena = abi.mi_heap_new_in_arena?.(heap.u32[id >>> 2] as number) as number;
    abi.mi_free?.(abi.mi_heap_malloc?.(arena, 300_000) as number);
    heap.purge(true);
    assert.equal(memory.calls.decommit > 0, large === 0);
  }
  const memory = simulatedMemory({ needsCommit: true });
  const heap = createHeap({ backend: javascript, memory });
  const end = memory.buffer.byteLength;
  memory.grow(16);
  const arena = heap.manageMemory(end, 8 * 65536, { pinned: true, exclusive: true });
  heap.free(heap.newHeap({ arena }).malloc(300_000));
  heap.purge(true);
  assert.equal(memory.calls.decommit, 0);
});

test("mi_heap_collect with force purges", () => {
  const heap = createHeap({ backend: javascript, memory: simulatedMemory({ needsCommit: true }) });
  const abi = abiOf(heap);
  const before = heap.stats().committedBytes;
  abi.mi_free?.(abi.mi_malloc?.(1e6) as number);
  abi.mi_heap_collect?.(abi.mi_heap_get_backing?.() as number, 0);
  assert.ok(heap.stats().committedBytes > before);
  abi.mi_heap_collect?.(abi.mi_heap_get_backing?.() as number, 1);
  assert.ok(heap.stats().committedBytes <= before);
});

test("arena 0 is any memory; 0 nodes are all nodes; huge pages have ids", () => {
  const plain = abiOf(createHeap());
  const made = plain.mi_heap_new_in_arena?.(0) as number;
  assert.notEqual(made, 0);
  assert.notEqual(plain.mi_heap_malloc?.(made, 8), 0);
  assert.equal(plain.mi_heap_new_in_arena?.(5), 0);
  const huge = () =>
    createHeap({
      backend: javascript,
      memory: simulatedMemory({
        numa: { nodes: 2, node: 0 },
        hugePages: { bytes: 1 << 20, count: 8 },
      }),
    });
  const heap = huge();
  assert.equal(abiOf(heap).mi_reserve_huge_os_pages_interleave?.(4, 0, 0), 0);
  assert.equal(heap.arenasPicture().match(/arena \d/g)?.length, 2, "one for each node");
  const other = huge();
  const out = other.calloc(2, 4);
  const abi = abiOf(other);
  assert.equal(abi.mi_reserve_huge_os_pages_at_ex?.(2, 1, 0, 1, out), 0);
  assert.deepEqual(other.arenaArea(other.u32[out / 4] as number)?.bytes, 2 << 20);
  assert.equal(abi.mi_reserve_huge_os_pages?.(2, 0.5, out), 0);
  assert.equal(other.u32[out / 4], 2);
  assert.equal(abi.mi_reserve_huge_os_pages?.(100, 0, out), 48);
  assert.equal(other.u32[out / 4], 0);
  assert.equal(abi.mi_reserve_huge_os_pages_at_ex?.(1, 0, 0, 0, out), 48);
  assert.equal(other.u32[out / 4], 0xffffffff);
});

test("no peak of statistics is above its total, and arenas do not count as pages", () => {
  for (const make of Object.values(heaps)) {
    const heap = make();
    heap.malloc(1e7);
    const { pageBytesPeak } = heap.stats();
    heap.reserveMemory(1 << 20);
    const { counts, pageBytesPeak: after } = heap.stats();
    assert.equal(after, pageBytesPeak);
    assert.ok(counts.pageBytes.peak <= counts.pageBytes.total);
    assert.ok(counts.pages.peak <= counts.pages.total);
  }
});
