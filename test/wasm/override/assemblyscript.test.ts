/** AssemblyScript on our heap: each of its runtimes works with the headers of our blocks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createAbi, createHeap } from "#src/heap/index.js";
import { override, overrideImports } from "#src/wasm/index.js";
import { compile } from "../support/assemblyscript.js";

const SOURCE = `
class Node { next: Node | null = null; text: string = ""; data: StaticArray<u8> | null = null }
const kept = new Map<string, Node>();
export function churn(n: i32): i32 {
  let sum = 0;
  let first: Node | null = null;
  for (let i = 0; i < n; i++) {
    const node = new Node();
    node.text = "node " + i.toString();
    node.data = new StaticArray<u8>(i * 37 % 1500);
    if (i % 10) node.next = first;
    first = node;
    if (i % 7 == 0) kept.set(node.text, node);
    if (i % 11 == 0) kept.delete("node " + (i * 3 % n).toString());
  }
  while (first) {
    sum += first.text.length + first.data!.length;
    first = first.next;
  }
  const keys = kept.keys();
  for (let i = 0; i < keys.length; i++) sum += kept.get(keys[i]).data!.length;
  const floats = new Float64Array(100);
  sum += <i32>(floats.dataStart & 7);
  return sum + keys.length;
}
export function raw(n: i32): i32 {
  let sum = 0;
  for (let i = 1; i < n; i++) {
    let p = heap.alloc(i);
    memory.fill(p, <u8>i, i);
    p = heap.realloc(p, i * 2);
    p = heap.realloc(p, i * 3);
    for (let k = 0; k < i; k++) if (load<u8>(p + k) != <u8>i) sum++;
    if (p & 15) sum += 1000;
    heap.free(p);
  }
  return sum;
}
`;

for (const runtime of ["incremental", "minimal", "stub"]) {
  test(`${runtime} runtime: merged and imported, results are the same`, async () => {
    const options = ["--debug", "--exportRuntime", "--runtime", runtime];
    const bytes = await compile(SOURCE, ...options);
    // What never frees is not proven: there is nothing to replace.
    const trust = runtime === "stub";
    if (trust) assert.throws(() => override(bytes), /none was found that frees their blocks/);
    const merged = override(bytes, { trust });
    assert.ok(merged.report.functions.every((each) => each.role.family === "assemblyscript"));
    assert.deepEqual(merged.report.notes, []);
    const { bytes: importing, report } = override(bytes, { form: "import", trust });
    const heap = createHeap({ offset: report.memory.min * 65536 });
    const results = [
      jobOf(bytes),
      jobOf(merged.bytes),
      jobOf(importing, overrideImports({ memory: heap.memory, abi: createAbi(heap) })),
    ];
    assert.deepEqual(results[1], results[0]);
    assert.deepEqual(results[2], results[0]);
    assert.equal((results[0] as number[])[2], 0);
    assert.ok(heap.stats().pageBytesPeak > 0);
  });
}

interface Exports {
  churn(n: number): number;
  raw(n: number): number;
  __collect(): void;
}

function jobOf(bytes: Uint8Array<ArrayBuffer>, imports: WebAssembly.Imports = {}): number[] {
  const abort = () => assert.fail("abort");
  const module = new WebAssembly.Module(bytes);
  const { exports } = new WebAssembly.Instance(module, { env: { abort }, ...imports });
  const { churn, raw, __collect } = exports as unknown as Exports;
  const results = [churn(500), churn(3000), raw(300)];
  __collect();
  return [...results, churn(900)];
}

test("an object in static data is copied when it is resized", async () => {
  const bytes = await compile(
    `export function grow(): i32 {
      const bytes = memory.data<u8>([12, 0, 0, 0, 7, 8, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
      const p = heap.realloc(bytes + 4, 100);
      return load<u8>(p) * 10000 + load<u8>(p + 1) * 100 + load<u8>(p + 2);
    }`,
    ...["--debug", "--runtime", "minimal", "--exportRuntime"],
  );
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(override(bytes).bytes), {
    env: { abort: () => assert.fail("abort") },
  });
  assert.equal((exports as unknown as { grow(): number }).grow(), 70809);
});

test("without names no allocator is found, and the module is refused", async () => {
  const bytes = await compile(SOURCE, "-O3");
  assert.throws(() => override(bytes), {
    name: "RangeError",
    message: "it has no allocator to replace: no function allocates",
  });
});
