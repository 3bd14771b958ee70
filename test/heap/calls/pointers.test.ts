/** Pointers of every kind, given to every call of every allocator: errors in words, and no loop. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type DebugAllocator, debug } from "#src/debug/index.js";
import { type ArgumentKind, type MethodName, methodRows } from "#src/heap/calls/table.js";
import { createAbi, createHeap, type Heap } from "#src/heap/index.js";
import { javascript, sharedJavascript } from "#src/heap/javascript.js";
import { createSharedHeap } from "#src/heap/shared.js";
import { thrownText } from "../../support/thrown.js";

type Calls = Record<MethodName, (...args: unknown[]) => unknown>;

const quiet = { reportAtExit: false, onReport: () => {}, stackTraceFrames: 0 } as const;

/** Heaps of each kind, with the heap that has the memory. */
const kinds: Record<string, () => [subject: Heap | DebugAllocator, memory: Heap]> = {
  wasm: () => twice(createHeap()),
  js: () => twice(createHeap({ backend: javascript })),
  "wasm, shared": () => twice(createSharedHeap()),
  "js, shared": () => twice(createSharedHeap({ backend: sharedJavascript, maximum: 2 ** 22 })),
  "sub-heap, wasm": () => beside(createHeap()),
  "sub-heap, js": () => beside(createHeap({ backend: javascript })),
  debug: () => {
    const heap = createHeap();
    return [debug(heap, quiet) as unknown as DebugAllocator, heap];
  },
};

function twice(heap: Heap): [Heap, Heap] {
  return [heap, heap];
}

function beside(heap: Heap): [Heap, Heap] {
  return [heap.newHeap() as unknown as Heap, heap];
}

const pointers: readonly ArgumentKind[] = ["block", "address", "cell", "optional"];
const others: Partial<Record<ArgumentKind, unknown>> = { handler: undefined, alignment: 16 };

/** Addresses in, at the edges of and beyond everything that the memory has. */
function addresses(heap: Heap): number[] {
  const end = heap.buffer.byteLength;
  const small = heap.malloc(100);
  const large = heap.malloc(300_000);
  const state = heap.source.start;
  const inHeap = [state, state + 4, state + 0x8000, state + 65_532];
  const blocks = [small + 1, small + 16, large + 4, large + 299_999];
  const edges = [1, 3, 8, end - 4, end - 3, end - 1, end, end + 4, heap.buffer.byteLength];
  return [...inHeap, ...blocks, ...edges, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 4, 2 ** 32 - 1];
}

for (const [kind, make] of Object.entries(kinds)) {
  test(`${kind}: no pointer that any call is given brings more than a RangeError or HeapError`, () => {
    const [subject, heap] = make();
    const calls = subject as unknown as Calls;
    const bad = addresses(heap);
    const name = heap.allocString("PATH", { terminate: true }).ptr;
    for (const [call, { args }] of methodRows) {
      args.forEach((argument, at) => {
        if (!pointers.includes(argument)) return;
        for (const address of bad) {
          const values = args.map((each, i) =>
            i === at ? address : rest(heap, each, { at, name }),
          );
          const text = thrownText(() => calls[call](...values));
          const good = text === "nothing thrown" || /^(RangeError|HeapError): \w+: /.test(text);
          assert.ok(good, `${call}(${values}): ${text}`);
          assert.doesNotMatch(text, /DataView|offset is out of bounds/i, call);
        }
      });
    }
    assert.notEqual(heap.malloc(1000), 0, "the heap is whole");
    heap.collect(true);
    assert.ok(heap.visitBlocks(() => {}));
  });
}

/** An argument that is not the pointer under test. */
function rest(heap: Heap, kind: ArgumentKind, { at, name }: { at: number; name: number }) {
  if (kind === "address") return name;
  if (kind === "cell") return at === 0 ? 0 : heap.calloc(1, 4);
  return kind in others ? others[kind] : kind === "block" || kind === "optional" ? 0 : 16;
}

for (const kind of ["wasm", "js", "wasm, shared", "js, shared", "sub-heap, js", "debug"]) {
  test(`${kind}: a text behind the memory, or without a NUL, is refused in words`, () => {
    const [subject, heap] = (kinds[kind] as (typeof kinds)[string])();
    const end = heap.buffer.byteLength;
    heap.u8.fill(65, end - 4, end);
    for (const call of ["strdup", "mbsdup", "wcsdup", "realpath"] as const) {
      assert.equal(
        thrownText(() => subject[call](2 ** 31)),
        `RangeError: ${call}: the memory of ${end} bytes ends before the text at 0x80000000 does: ` +
          "it needs a NUL behind it",
      );
    }
    assert.match(
      thrownText(() => subject.strndup(end - 4, 5)),
      /strndup: .* ends before/,
    );
    assert.notEqual(subject.strndup(end, 0), 0, "nothing is read");
  });
}

test("a text ends at its NUL, at max, or with the memory only if max does", () => {
  for (const kind of ["wasm", "js", "debug"]) {
    const [subject, heap] = (kinds[kind] as (typeof kinds)[string])();
    const end = heap.buffer.byteLength;
    heap.u8.set([65, 66, 67, 68], end - 4);
    assert.equal(subject.readString(subject.strndup(end - 4, 4)), "ABCD", kind);
    assert.equal(subject.readString(subject.strndup(end - 4, 2)), "AB", kind);
    const text = heap.allocString("text", { terminate: true }).ptr;
    assert.equal(subject.readString(subject.strndup(text, 2 ** 31 - 1)), "text", kind);
    assert.equal(subject.readString(subject.strdup(text)), "text", kind);
  }
});

test("wide texts end at a character of zeros, not at zero bytes of two characters", () => {
  for (const kind of ["wasm", "js", "debug"]) {
    const [subject, heap] = (kinds[kind] as (typeof kinds)[string])();
    const at = heap.malloc(16);
    heap.u8.set([0x41, 1, 0, 1, 1, 0, 0, 1, 0, 0, 9, 9], at);
    const copy = subject.wcsdup(at);
    assert.deepEqual([...heap.u8.slice(copy, copy + 10)], [0x41, 1, 0, 1, 1, 0, 0, 1, 0, 0], kind);
  }
});

test("a word for a result may lie at any address that is not the heap's own", () => {
  for (const backend of [undefined, javascript]) {
    const heap = createHeap({ backend });
    const block = heap.malloc(16);
    assert.equal(heap.posixMemalign(block + 1, 64, 10), 0);
    const made = new DataView(heap.buffer).getUint32(block + 1, true);
    assert.equal(made % 64, 0);
    assert.equal(heap.reallocarr(block + 1, 10, 1000), 0);
    const moved = new DataView(heap.buffer).getUint32(block + 1, true);
    assert.ok(heap.usableSize(moved) >= 10_000);
    assert.equal(heap.posixMemalign(1024, 64, 10), 0, "a word of the program, before the heap");
    const state = heap.source.start;
    assert.equal(
      thrownText(() => heap.posixMemalign(state, 64, 10)),
      `HeapError: posixMemalign: 0x${state.toString(16)} is in the heap's memory, but not in a block`,
    );
    heap.u32[block / 4] = 12_345;
    assert.equal(
      thrownText(() => heap.reallocarr(block, 1, 8)),
      "HeapError: reallocarr: 0x3039 is not a block of this heap",
    );
  }
});

test("C's strdup of an address behind the memory ends, in JavaScript too", () => {
  const abi = createAbi(createHeap({ backend: javascript }));
  for (const call of [() => abi.strdup(2 ** 31), () => abi.strndup(2 ** 31, -1)]) {
    assert.match(thrownText(call), /^RangeError: strn?dup: .* ends before the text/);
  }
});
