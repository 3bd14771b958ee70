/** What a heap cannot be made of: 64-bit memories, pages that forbid wasm, forged handles. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { createHeap } from "#src/heap/index.js";
import { javascript, sharedJavascript } from "#src/heap/javascript.js";
import { attachHeap, createSharedHeap, type HeapHandle } from "#src/heap/shared.js";
import { thrownText } from "../support/thrown.js";

/** A memory with 64-bit addresses, where the engine has them. */
function memory64(): WebAssembly.Memory | undefined {
  for (const type of [
    { initial: 2n, address: "i64" },
    { initial: 2, index: "i64" },
  ]) {
    try {
      const memory = new WebAssembly.Memory(type as unknown as WebAssembly.MemoryDescriptor);
      if (thrownText(() => memory.grow(0)).includes("BigInt")) return memory;
    } catch {
      // the engine has no such memories, or another name for it
    }
  }
  return undefined;
}

test("a memory with 64-bit addresses is refused", (t) => {
  const memory = memory64();
  if (!memory) return t.skip("this engine has no 64-bit memories");
  for (const backend of [undefined, javascript]) {
    assert.equal(
      thrownText(() => createHeap({ memory, backend })),
      "RangeError: the memory has 64-bit addresses: a heap needs 32-bit ones, " +
        'made without address: "i64"',
    );
  }
});

test("the check of a memory's addresses leaves its buffer as it is", () => {
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 9 });
  const { buffer } = memory;
  createHeap({ memory, offset: 65536 });
  assert.equal(memory.buffer, buffer);
  const shared = new WebAssembly.Memory({ initial: 9, maximum: 100, shared: true });
  assert.ok(createSharedHeap({ memory: shared, offset: 0 }).malloc(8) > 0);
});

test("where WebAssembly may not compile, the error names the policy and the other back end", () => {
  const program = `
    const { Module } = WebAssembly;
    WebAssembly.Module = class extends Module {
      constructor() { throw new WebAssembly.CompileError("violates the following CSP directive"); }
    };
    const { createHeap } = await import("terrane");
    const { createSharedHeap } = await import("terrane/shared");
    const { createSizeClassHeap } = await import("terrane/sizeclass");
    const { javascript } = await import("terrane/javascript");
    const { wasmMemory } = await import("terrane/memory");
    for (const make of [createHeap, createSharedHeap, createSizeClassHeap]) {
      try { make(); } catch (error) { console.log(error.name + ": " + error.message); }
    }
    console.log(createHeap({ backend: javascript, memory: wasmMemory() }).malloc(8) > 0);`;
  const out = execFileSync(process.execPath, ["--input-type=module", "-e", program], {
    encoding: "utf8",
  });
  const lines = out.trim().split("\n");
  for (const line of lines.slice(0, 3)) {
    assert.match(line, /^Error: .*'wasm-unsafe-eval'.*javascript or sharedJavascript.*backend$/);
  }
  assert.deepEqual(lines.slice(3), ["true"]);
});

test("forged handles are refused in words, each by the field that is wrong", () => {
  for (const options of [{}, { backend: sharedJavascript, maximum: 2 ** 22 }]) {
    const heap = createSharedHeap(options);
    const whole = heap.handle();
    const wrong: [string, unknown][] = [
      ["start", 8],
      ["start", 2 ** 31],
      ["start", whole.start + 65536],
      ["start", "65536"],
      ["start", Number.NaN],
      ["ticket", -1],
      ["ticket", 2 ** 30],
      ["ticket", "1"],
      ["backend", "c"],
      ["maximum", "all"],
      ["release", 1],
      ["hardening", 7],
      ["statsLevel", 9],
      ["watch", 5],
      ["memory", new WebAssembly.Memory({ initial: 9 })],
      ["memory", {}],
      ["buffer", new ArrayBuffer(2 ** 20)],
      ["module", new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0))],
      ["module", "core"],
    ];
    for (const [field, value] of wrong) {
      const handle = { ...whole, [field]: value } as HeapHandle;
      const text = thrownText(() => attachHeap(handle, { backend: sharedJavascript }));
      assert.match(
        text,
        new RegExp(`^TypeError: handle must come from heap.handle\\(\\), unchanged: its ${field} `),
        `${field} ${String(value)}`,
      );
    }
    for (const value of [null, undefined, 5, {}, { terrane: "2" }]) {
      assert.match(
        thrownText(() => attachHeap(value as unknown as HeapHandle)),
        /^TypeError: handle must come from heap.handle\(\)/,
      );
    }
    const backend = "backend" in options ? { backend: sharedJavascript } : {};
    const mine = attachHeap(whole, backend);
    assert.ok(mine.malloc(8) > 0);
    mine.detach();
  }
});
