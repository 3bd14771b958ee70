/** Handles that no size-class heap has made, which come from anywhere. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  attachHardenedMalloc,
  attachSizeClassHeap,
  createHardenedMalloc,
  createSizeClassHeap,
  type SizeClassHandle,
  type SizeClassOptions,
} from "#src/sizeclass/index.js";
import { thrownText } from "../../support/thrown.js";

const kinds: Record<string, Omit<SizeClassOptions, "shared">> = {
  "wasm, on demand": {},
  "wasm, reserved": { spaceSize: 2 ** 26 },
  js: { backend: "js", maximum: 2 ** 26 },
};

for (const [name, options] of Object.entries(kinds)) {
  test(`${name}: forged handles are refused in words, each by the field that is wrong`, () => {
    const heap = createSizeClassHeap({ ...options, shared: true });
    const whole = heap.handle();
    const { geometry } = whole;
    const wrong: [string, unknown][] = [
      ["backend", "c"],
      ["maximum", "all"],
      ["release", 1],
      ["threadId", -1],
      ["threadId", 2 ** 30],
      ["memory", new WebAssembly.Memory({ initial: 1 })],
      ["memory", 5],
      ["buffer", new ArrayBuffer(8)],
      ["geometry", null],
      ["geometry", {}],
      ["geometry", { ...geometry, map: {} }],
      ["geometry", { ...geometry, map: "default" }],
      ["geometry", { ...geometry, shuffle: 1 }],
    ];
    for (const field of ["space", "control", "large", "controlBytes", "spaceSize", "threadSlots"]) {
      for (const value of [-1, 0.5, Number.NaN, "1", undefined, 2 ** 33]) {
        wrong.push(["geometry", { ...geometry, [field]: value }]);
      }
    }
    wrong.push(["geometry", { ...geometry, control: 0, large: geometry.controlBytes }]);
    for (const [field, value] of wrong) {
      const handle = { ...whole, [field]: value } as SizeClassHandle;
      assert.match(
        thrownText(() => attachSizeClassHeap(handle)),
        new RegExp(
          `^TypeError: handle must come from handle\\(\\) of a size-class heap, unchanged: its ${field} `,
        ),
        `${field} ${JSON.stringify(value)}`,
      );
    }
    const mine = attachSizeClassHeap(structuredClone(whole));
    assert.ok(mine.malloc(8) > 0);
    mine.detach();
  });
}

test("forged handles of a hardened malloc are refused in words", () => {
  const heap = createHardenedMalloc({ shared: true, quarantineSizeKb: 16 });
  const whole = heap.handle();
  const wrong: [string, unknown][] = [
    ["heap", 5],
    ["flags", null],
    ["flags", { quarantineSizeKb: -1 }],
    ["flags", { other: 1 }],
    ["cookie", "secret"],
    ["cookie", -1],
    ["list", 8],
    ["list", Number.NaN],
    ["list", 2 ** 40],
  ];
  for (const [field, value] of wrong) {
    assert.match(
      thrownText(() => attachHardenedMalloc({ ...whole, [field]: value } as typeof whole)),
      new RegExp(
        `^TypeError: handle must come from handle\\(\\) of a hardened malloc, unchanged: its ${field} `,
      ),
      `${field} ${JSON.stringify(value)}`,
    );
  }
  assert.match(
    thrownText(() =>
      attachHardenedMalloc({ ...whole, heap: { ...whole.heap, release: 0 } as never }),
    ),
    /^TypeError: .*its release must be/,
  );
  const mine = attachHardenedMalloc(structuredClone(whole));
  mine.free(mine.malloc(8));
  mine.detach();
});
