/** What Scudo's tests of hooks, stacks, flags, reports and headers check. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Headers } from "#src/sizeclass/hardened/chunk.js";
import {
  createHardenedMalloc,
  HardenedError,
  type HardenedMalloc,
  parseScudoOptions,
  type ScudoOptions,
} from "#src/sizeclass/index.js";
import { hooked, textOf } from "./combined-hooks.js";

test("AllocateHooks: called for what was done, not for what failed or changed nothing", () => {
  const { heap, since } = hooked();
  const ptr = heap.malloc(16);
  assert.equal(since(), `+${ptr}:16`);
  assert.deepEqual([heap.realloc(ptr, 16), since()], [ptr, ""]);
  heap.free(ptr);
  assert.equal(since(), `-${ptr}`);
  assert.throws(() => heap.free(ptr));
  assert.equal(heap.malloc(2 ** 31 - 1), 0);
  assert.equal(since(), "");
  let block = heap.malloc(0);
  since();
  for (let id = 1; id < heap.heap.primary.map.classes; id++) {
    const size = heap.heap.primary.map.size(id);
    const next = heap.realloc(block, size);
    assert.equal(since(), `-${block} +${next}:${size}`);
    block = next;
  }
});

test("RingBufferDefaultDisabled: no stacks by default, or with a size of 0", () => {
  const heap = createHardenedMalloc();
  assert.equal(heap.trackAllocationStacks, false);
  const ptr = heap.malloc(10);
  heap.free(ptr);
  assert.deepEqual(heap.errorInfo(ptr)?.freedAt, undefined);
  const none = createHardenedMalloc({ allocationRingBufferSize: 0 });
  none.trackAllocationStacks = true;
  assert.equal(none.trackAllocationStacks, false);
});

function useHere(heap: HardenedMalloc, size = 64): number {
  const ptr = heap.malloc(size);
  heap.free(ptr);
  return ptr;
}

test("RingBufferInitOnce: turned on again, it keeps the stacks that it has", () => {
  const heap = createHardenedMalloc();
  heap.trackAllocationStacks = true;
  const ptr = useHere(heap);
  const before = heap.errorInfo(ptr);
  assert.match(String(before?.allocatedAt), /useHere/);
  heap.trackAllocationStacks = true;
  assert.equal(heap.trackAllocationStacks, true);
  assert.deepEqual(heap.errorInfo(ptr), before);
  heap.trackAllocationStacks = false;
  assert.deepEqual(heap.errorInfo(ptr), before, "what is remembered stays");
  assert.throws(
    () => Reflect.set(heap, "trackAllocationStacks", 1),
    /must be a boolean, not number/,
  );
});

test("StackDepot: equal stacks are kept once; a ring drops the oldest block", () => {
  const heap = createHardenedMalloc({ allocationRingBufferSize: 4, shuffle: false });
  heap.trackAllocationStacks = true;
  const blocks = Array.from({ length: 8 }, (_, i) => heap.malloc(64 + i));
  for (const ptr of blocks) heap.free(ptr);
  const [first] = blocks.map((ptr) => heap.errorInfo(ptr));
  assert.equal(first?.freedAt, undefined, "forgotten");
  const known = blocks.slice(4).map((ptr) => heap.errorInfo(ptr)?.freedAt);
  assert.equal(new Set(known).size, 1);
  assert.match(String(known[0]), /combined-reports/);
});

test("errors say where the block was allocated and freed", () => {
  const heap = createHardenedMalloc({ quarantineSizeKb: 64 });
  heap.trackAllocationStacks = true;
  const ptr = useHere(heap);
  const stacks = (call: () => void) => {
    try {
      call();
    } catch (error) {
      assert.ok(error instanceof HardenedError);
      return [error.allocatedAt, error.freedAt].map((text) => /useHere/.test(String(text)));
    }
    return [];
  };
  assert.deepEqual(
    stacks(() => heap.free(ptr)),
    [true, true],
  );
  assert.deepEqual(
    stacks(() => heap.usableSize(ptr)),
    [true, true],
  );
  heap.drain();
  assert.deepEqual(
    stacks(() => heap.free(ptr)),
    [true, true],
  );
});

test("RingBufferErrorInfo: of two blocks freed at one address, the last one", () => {
  const heap = createHardenedMalloc();
  heap.trackAllocationStacks = true;
  const ptr = useHere(heap);
  const again = heap.malloc(64);
  assert.equal(again, ptr);
  assert.equal(heap.errorInfo(ptr)?.freedAt, undefined, "it is in use");
  assert.doesNotMatch(String(heap.errorInfo(ptr)?.allocatedAt), /useHere/);
  heap.free(again);
  assert.doesNotMatch(String(heap.errorInfo(ptr)?.freedAt), /useHere/);
});

test("GetErrorInfoUAF: any address of a block that is free or in quarantine", () => {
  for (const [quarantineSizeKb, state] of [
    [0, "free"],
    [64, "quarantined"],
  ] as const) {
    const heap = createHardenedMalloc({ quarantineSizeKb });
    heap.trackAllocationStacks = true;
    for (const size of [64, 5000]) {
      const ptr = useHere(heap, size);
      for (const at of [ptr, ptr + 1, ptr + size - 1]) {
        const info = heap.errorInfo(at);
        assert.deepEqual([info?.type, info?.ptr, info?.size], ["use after free", ptr, size]);
        assert.equal(info?.state, state);
        assert.match(`${info?.allocatedAt}${info?.freedAt}`, /useHere.*useHere/s);
      }
    }
  }
});

test("GetErrorInfoOverflow: after the end of a block", () => {
  const heap = createHardenedMalloc();
  for (const ptr of [heap.malloc(64), heap.memalign(256, 64), heap.malloc(200_000)]) {
    const size = heap.usableSize(ptr);
    const info = heap.errorInfo(ptr + size);
    assert.deepEqual([info?.type, info?.ptr, info?.size], ["buffer overflow", ptr, size]);
    assert.equal(info?.state, "allocated");
    assert.equal(heap.errorInfo(ptr + size - 1)?.type, "unknown", "that is inside");
  }
});

test("GetErrorInfoUnderflow: before the begin of a block; undefined where there never was one", () => {
  const heap = createHardenedMalloc();
  for (const ptr of [heap.malloc(64), heap.memalign(256, 64)]) {
    const info = heap.errorInfo(ptr - 1);
    assert.deepEqual([info?.type, info?.ptr, info?.size], ["buffer underflow", ptr, 64]);
  }
  const nowhere = heap.heap.primary.regionBegin(20);
  for (const at of [0, 16, nowhere, 2 ** 32 - 1]) assert.equal(heap.errorInfo(at), undefined);
});

/** One flag: its option, or the text of the error. */
function flag(text: string): unknown {
  try {
    return Object.values(parseScudoOptions(text))[0];
  } catch (error) {
    assert.ok(error instanceof RangeError);
    return error.message;
  }
}

test("BooleanFlags: 1, yes, true, 0, no, false, also in quotes, and nothing else", () => {
  for (const yes of ["1", "yes", "'yes'", "true"]) assert.equal(flag(`zero_contents=${yes}`), true);
  for (const no of ["0", '"0"', "no", "false", "'false'"]) {
    assert.equal(flag(`zero_contents=${no}`), false);
  }
  assert.equal(flag("zero_contents"), "expected '=' after flag zero_contents");
  for (const wrong of ["", "2", "-1", "on", "yes'", "'yes"]) {
    const text = `invalid value for bool option: '${wrong}'`;
    assert.equal(flag(`zero_contents=${wrong}`), text);
  }
});

test("IntFlags: whole numbers, also in quotes; others are refused, unknown flags ignored", () => {
  const name = "release_to_os_interval_ms";
  for (const [text, value] of [
    ["0", 0],
    ["'0'", 0],
    ["42", 42],
    ["-42", -42],
    ['"-42"', -42],
  ]) {
    assert.equal(flag(`${name}=${text}`), value);
  }
  assert.equal(flag("quarantine_size_kb=-1"), 0);
  assert.equal(flag(name), `expected '=' after flag ${name}`);
  for (const wrong of ["42U", "", "1e3", "0x10", "4.5"]) {
    assert.equal(flag(`${name}=${wrong}`), `invalid value for int option: '${wrong}'`);
  }
  const unknown: string[] = [];
  assert.deepEqual(
    parseScudoOptions("--quarantine_size_kb=42 zzzzzzz=42 exact_usable_size=1 toString=1", (one) =>
      unknown.push(one),
    ),
    {},
  );
  assert.deepEqual(unknown, ["--quarantine_size_kb", "zzzzzzz", "exact_usable_size", "toString"]);
  assert.deepEqual(parseScudoOptions("zzz=1"), {});
  assert.throws(() => parseScudoOptions("=1"), /^RangeError: expected '=' in flags at "=1"$/);
  for (const wrong of [undefined, null, 5, () => 0]) {
    assert.throws(
      () => parseScudoOptions(wrong as never),
      /^TypeError: flags must be a string or an env/,
    );
  }
});

test("MultipleFlags: spaces, colons, commas and lines between; the last one counts", () => {
  const both = { zeroContents: true, quarantineSizeKb: 42 };
  for (const between of [" ", ":", ",", "\n", "\r\n", "\t", " : ,"]) {
    assert.deepEqual(parseScudoOptions(`zero_contents=1${between}quarantine_size_kb=42`), both);
    assert.deepEqual(parseScudoOptions(`:quarantine_size_kb=42${between}zero_contents=yes `), both);
  }
  assert.deepEqual(parseScudoOptions("zero_contents=0:zero_contents=1"), { zeroContents: true });
  assert.deepEqual(parseScudoOptions("thread_local_quarantine_size_kb=1 quarantine_size_kb=2"), {
    threadLocalQuarantineSizeKb: 1,
    quarantineSizeKb: 2,
  });
  assert.deepEqual(parseScudoOptions(""), {});
});

test("AllocatorFlags: every flag of Scudo is an option that createHardenedMalloc takes", () => {
  const flags: Record<string, [string, keyof ScudoOptions, number | boolean]> = {
    quarantine_size_kb: ["64", "quarantineSizeKb", 64],
    thread_local_quarantine_size_kb: ["8", "threadLocalQuarantineSizeKb", 8],
    quarantine_max_chunk_size: ["2048", "quarantineMaxChunkSize", 2048],
    dealloc_type_mismatch: ["false", "deallocTypeMismatch", false],
    delete_size_mismatch: ["false", "deleteSizeMismatch", false],
    dealloc_align_mismatch: ["false", "deallocAlignMismatch", false],
    zero_contents: ["true", "zeroContents", true],
    pattern_fill_contents: ["true", "patternFillContents", true],
    may_return_null: ["false", "mayReturnNull", false],
    release_to_os_interval_ms: ["-1", "releaseInterval", -1],
    allocation_ring_buffer_size: ["100", "allocationRingBufferSize", 100],
    zero_on_dealloc_max_size: ["256", "zeroOnDeallocMaxSize", 256],
  };
  const text = Object.entries(flags).map(([name, [value]]) => `${name}=${value}`);
  const expected = Object.fromEntries(Object.values(flags).map(([, name, value]) => [name, value]));
  const options = parseScudoOptions(text.join(":"), (name) => assert.fail(name));
  assert.deepEqual(options, expected);
  const heap = createHardenedMalloc(options);
  heap.operatorDelete(heap.malloc(10));
  assert.equal(heap.stats().quarantine.threadBlocks, 1);
  assert.equal(heap.fillContents, "zero");
});

test("InitFlagsEnv: the flags of an environment, and the variable for one of them", () => {
  const env = { SCUDO_OPTIONS: "zero_contents=1", SCUDO_ALLOCATION_RING_BUFFER_SIZE: "123" };
  assert.deepEqual(parseScudoOptions(env), { zeroContents: true, allocationRingBufferSize: 123 });
  assert.deepEqual(parseScudoOptions({}), {});
  assert.deepEqual(parseScudoOptions({ SCUDO_ALLOCATION_RING_BUFFER_SIZE: "-5" }), {
    allocationRingBufferSize: 0,
  });
});

test("VerifyOptionalFlags: defaults are Scudo's; undefined is the same as absent", () => {
  const unset = Object.fromEntries(
    ["shuffle", "seed", "quarantineSizeKb", "exactUsableSize", "mayReturnNull", "onAllocate"].map(
      (name) => [name, undefined],
    ),
  );
  for (const heap of [
    createHardenedMalloc(),
    createHardenedMalloc({}),
    createHardenedMalloc(unset),
  ]) {
    const ptr = heap.malloc(10);
    assert.equal(heap.usableSize(ptr), 10);
    assert.match(
      textOf(() => heap.operatorDelete(ptr)),
      /mismatch/,
    );
    assert.match(
      textOf(() => heap.freeSize(ptr, 11)),
      /sized/,
    );
    assert.match(
      textOf(() => heap.freeSizeAligned(ptr, 10, 2 ** 30)),
      /aligned/,
    );
    heap.free(ptr);
    assert.equal(heap.stats().quarantine.blocks, 0);
    assert.equal(heap.malloc(2 ** 31 - 1), 0);
    const order = Array.from({ length: 20 }, () => heap.malloc(3000));
    assert.notDeepEqual(
      order,
      order.toSorted((a, b) => a - b),
      "shuffled",
    );
  }
});

test("Generic, CSpecific: every report has its numbers", () => {
  const heap = createHardenedMalloc({ mayReturnNull: false, maximum: 2 ** 27 });
  const { abi } = heap;
  const refused: [() => unknown, string][] = [
    [() => heap.malloc(2 ** 27), "out of memory trying to allocate 134217728 bytes"],
    [
      () => abi.malloc(-1),
      "requested allocation size 4294967295 (4294967311 after adjustments) exceeds maximum " +
        "supported size of 2147483647",
    ],
    [
      () => abi.memalign(123, 1),
      "invalid allocation alignment: 123, alignment must be a power of two",
    ],
    [
      () => abi.calloc(123456, 456789),
      "calloc parameters overflow: count * size (123456 * 456789) cannot be represented with " +
        "type size_t",
    ],
    [
      () => abi.reallocarray(0, 123456, 456789),
      "reallocarray parameters overflow: count * size (123456 * 456789) cannot be represented " +
        "with type size_t",
    ],
    [
      () => abi.aligned_alloc(123, 456),
      "invalid alignment requested in aligned_alloc: 123, alignment must be a power of two and " +
        "the requested size 456 must be a multiple of alignment",
    ],
    [
      () => abi.posix_memalign(16, 789, 1),
      "invalid alignment requested in posix_memalign: 789, alignment must be a power of two and " +
        "a multiple of sizeof(void *) == 4",
    ],
  ];
  for (const [call, text] of refused) assert.equal(textOf(call), text);
});

test("HeaderCorruption: a header of zeros has another text than a wrong one", () => {
  const heap = createHardenedMalloc();
  const ptr = heap.malloc(100);
  const at = ptr / 4 - 4;
  const first = heap.u32[at] as number;
  heap.u32[at] = 0;
  assert.match(
    textOf(() => heap.free(ptr)),
    /: chunk header is zero and might indicate memory corr/,
  );
  heap.u32[at] = 10;
  assert.match(
    textOf(() => heap.free(ptr)),
    /: most likely due to memory corruption$/,
  );
  heap.u32[at] = first;
  heap.free(ptr);
});

test("ChunkBasic: a header is valid with its cookie, and with no other", () => {
  const words = new Uint32Array(64);
  const mine = new Headers(() => words, 0x41424344);
  const other = new Headers(() => words, 0x11223344);
  mine.write(32, 2, 0x100, 16);
  const header = mine.find(32);
  assert.deepEqual([header?.origin, header?.size, header?.offset], [2, 0x100, 16]);
  assert.equal(other.find(32), undefined);
  assert.equal(mine.find(48), undefined);
  mine.write(128, 3, 8, 64);
  assert.deepEqual([mine.blockIn(16), mine.blockIn(64), mine.blockIn(96)], [32, 128, 0]);
});

test("ChecksumFunctions: one bit of header, address or cookie changes the checksum", () => {
  const words = new Uint32Array(256);
  const cookie = 0x41424343;
  new Headers(() => words, cookie).write(512, 1, 0xaaaaaa, 16);
  let same = 0;
  for (let bit = 0; bit < 32; bit++) {
    const flip = (1 << bit) >>> 0;
    same += Number(new Headers(() => words, (cookie ^ flip) >>> 0).find(512) !== undefined);
    for (const at of [124, 125, 126]) {
      words[at] = (words[at] as number) ^ flip;
      same += Number(new Headers(() => words, cookie).find(512) !== undefined);
      words[at] = (words[at] as number) ^ flip;
    }
  }
  assert.equal(same, 0, "of 128 flips");
});
