/** The table of calls against everything that is made from it: methods, C names, checks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { guardedAbi } from "#src/debug/guarded/guarded-abi.js";
import { DebugHeap, debug } from "#src/debug/index.js";
import {
  type ArgumentKind,
  callRows,
  heapNames,
  methodRows,
  names,
  operators,
  prefixed,
} from "#src/heap/calls/table.js";
import { createAbi, createHeap, type Heap, SubHeap } from "#src/heap/index.js";
import { javascript } from "#src/heap/javascript.js";
import { createSharedHeap } from "#src/heap/shared.js";
import { createHardenedMalloc } from "#src/sizeclass/index.js";
import { thrownText } from "../../support/thrown.js";

type Calls = Record<string, (...args: unknown[]) => unknown>;

const quiet = { reportAtExit: false, onReport: "throw", stackTraceFrames: 0 } as const;

/** Each allocator that has all calls. */
function allocators(): Record<string, Calls> {
  const heap = createHeap();
  const debugHeap = debug(createHeap(), quiet);
  const all = {
    Heap: heap,
    "Heap, js": createHeap({ backend: javascript }),
    SharedHeap: createSharedHeap(),
    SubHeap: heap.newHeap(),
    DebugAllocator: debugHeap,
    DebugHeap: debugHeap.newHeap(),
  };
  assert.ok(all.SubHeap instanceof SubHeap && all.DebugHeap instanceof DebugHeap);
  return all as unknown as Record<string, Calls>;
}

test("every call is a method of every allocator, and stacks show its name", () => {
  assert.ok(methodRows.length > 50);
  for (const [kind, allocator] of Object.entries(allocators())) {
    for (const [call] of methodRows) {
      assert.equal(typeof allocator[call], "function", `${kind} has ${call}`);
      assert.equal(allocator[call]?.name, call, kind);
    }
  }
});

test("every name in C is a function of every abi that has all calls", () => {
  const wanted = callRows.flatMap(([, row]) => [...names(row), ...heapNames(row)]);
  const all = [...wanted.flatMap(prefixed), ...operators().map(({ name }) => name)];
  assert.equal(new Set(all).size, all.length - 1, "mi_wcsdup is what differs from wcsdup");
  for (const allocator of [
    createHeap(),
    createHeap({ backend: javascript }),
    debug(undefined, quiet),
  ]) {
    const abi = createAbi(allocator as Heap) as unknown as Calls;
    assert.deepEqual(
      all.filter((name) => typeof abi[name] !== "function"),
      [],
    );
  }
});

test("a heap's abi has no function besides the table's that a debug allocator lacks", () => {
  const own = Object.keys(createAbi(createHeap())).filter((name) => !name.startsWith("mi_"));
  const debugNames = new Set(Object.keys(debug(undefined, quiet).abi));
  assert.deepEqual(
    own.filter((name) => !debugNames.has(name)),
    [],
  );
});

test("the abi of guarded blocks and of the hardened malloc have names of the table", () => {
  const known = new Set(callRows.flatMap(([, row]) => names(row)));
  const calls = new Set(operators().map(({ name }) => name));
  const guarded = Object.keys(guardedAbi(createHeap()));
  const hardened = Object.keys(createHardenedMalloc().abi);
  assert.deepEqual([guarded.length, hardened.length], [9, 13 + calls.size]);
  for (const name of [...guarded, ...hardened]) assert.ok(known.has(name) || calls.has(name), name);
});

/** For each kind of argument: one that is right, and what is said of -1 and of a string. */
const kinds: Record<ArgumentKind, [right: unknown, what: string]> = {
  size: [8, "size"],
  count: [1, "count"],
  offset: [0, "offset"],
  max: [8, "max"],
  word: [8, "size"],
  alignment: [16, "alignment"],
  boundary: [16, "alignment"],
  block: [0, "pointer"],
  address: [0, "pointer"],
  cell: [0, "pointer"],
  optional: [0, "pointer"],
  handler: [undefined, "handler"],
};

for (const kind of Object.keys(allocators())) {
  test(`${kind}: every argument of every call is checked, as its kind says`, () => {
    const allocator = allocators()[kind] as Calls;
    for (const [call, { args }] of methodRows) {
      args.forEach((argument, at) => {
        const [, what] = kinds[argument];
        for (const bad of [-1, 0.5, 2 ** 33, "8", null]) {
          const values = args.map((each, index) => (index === at ? bad : kinds[each][0]));
          const text = thrownText(() => allocator[call]?.(...values));
          const type = typeof bad === "number" && argument !== "handler" ? "Range" : "Type";
          assert.ok(text.startsWith(`${type}Error: ${what} must be `), `${call}: ${text}`);
        }
      });
    }
  });
}

test("a pointer that is not a block is named with the call that was given it", () => {
  for (const backend of [undefined, javascript]) {
    const heap = createHeap({ backend }) as unknown as Calls;
    for (const [call, { args }] of methodRows) {
      if (args[0] !== "block") continue;
      const values = args.map((kind, index) => (index === 0 ? 12 : kinds[kind][0]));
      assert.equal(
        thrownText(() => heap[call]?.(...values)),
        `HeapError: ${call}: 0xc is not a block of this heap`,
      );
    }
  }
});

test("a debug allocator names the call, and cuts its stacks there", () => {
  const reports: { message: string; stack: string }[] = [];
  const heap = debug(createHeap(), {
    reportAtExit: false,
    onReport: ({ message, stacks }) =>
      reports.push({ message, stack: String(stacks.at(-1)?.frames[0]?.call) }),
  }) as unknown as Calls;
  function program(call: string, values: unknown[]) {
    return heap[call]?.(...values);
  }
  for (const [call, { args }] of methodRows) {
    if (args[0] !== "block") continue;
    const values = args.map((kind, index) => (index === 0 ? 12 : kinds[kind][0]));
    program(call, values);
    const { message, stack } = reports.pop() as { message: string; stack: string };
    assert.ok(message.startsWith(`${call} of 0xc, which is not a block`), message);
    assert.equal(stack, "program", call);
  }
});
