/** The debug allocator as the malloc of wasm modules. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { debug, type Report } from "#src/debug/index.js";
import { createHeap } from "#src/heap/index.js";
import { anyHeap } from "../../support/any-heap.js";

function bytesOf(text: string): number[] {
  return [text.length, ...new TextEncoder().encode(text)];
}

function section(id: number, body: number[]): number[] {
  return [id, body.length, ...body];
}

/**
 * (import "env" "malloc"/"free") and three functions: "inner" calls malloc(100), "run" calls inner,
 * "drop" frees its argument; all named in the name section.
 */
function moduleBytes(): Uint8Array<ArrayBuffer> {
  const env = (name: string, type: number) => [...bytesOf("env"), ...bytesOf(name), 0, type];
  const body = (code: number[]) => [code.length + 2, 0, ...code, 0x0b];
  const names = ["malloc", "free", "inner", "run", "drop"];
  const functionNames = [names.length, ...names.flatMap((name, i) => [i, ...bytesOf(name)])];
  return new Uint8Array([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [3, 0x60, 1, 0x7f, 1, 0x7f, 0x60, 1, 0x7f, 0, 0x60, 0, 1, 0x7f]),
    ...section(2, [2, ...env("malloc", 0), ...env("free", 1)]),
    ...section(3, [3, 2, 2, 1]),
    ...section(7, [2, ...bytesOf("run"), 0, 3, ...bytesOf("drop"), 0, 4]),
    ...section(10, [
      3,
      ...body([0x41, 0xe4, 0, 0x10, 0]),
      ...body([0x10, 2]),
      ...body([0x20, 0, 0x10, 1]),
    ]),
    ...section(0, [...bytesOf("name"), 1, functionNames.length, ...functionNames]),
  ]);
}

for (const backend of ["wasm", "js"] as const) {
  test(`${backend}: frames of a wasm module have the names of its functions`, () => {
    const reports: Report[] = [];
    const debugged = debug(anyHeap({ backend }), {
      reportAtExit: false,
      onReport: (report) => reports.push(report),
    });
    const module = new WebAssembly.Module(moduleBytes());
    const { exports } = new WebAssembly.Instance(module, { env: { ...debugged.abi } });
    const { run, drop } = exports as { run(): number; drop(p: number): void };
    const ptr = run();
    drop(ptr);
    drop(ptr);
    assert.equal(reports[0]?.code, "ERR_DOUBLE_FREE");
    const [allocated, first] = reports[0]?.stacks ?? [];
    const calls = allocated?.frames.slice(0, 2).map(({ call, url }) => `${call} ${url}`) ?? [];
    assert.match(
      calls[0] as string,
      /^inner wasm:\/\/wasm\/[0-9a-f]+:wasm-function\[2\]:0x[0-9a-f]+$/,
    );
    assert.match(
      calls[1] as string,
      /^run wasm:\/\/wasm\/[0-9a-f]+:wasm-function\[3\]:0x[0-9a-f]+$/,
    );
    assert.match(
      String(reports[0]),
      /\n {4}at inner \(wasm:.*\)\n {4}at run \(wasm:.*\)\n {4}at .*abi\.test/,
    );
    assert.equal(first?.frames[0]?.call, "drop");
  });
}

test("C's functions answer as C's do", () => {
  const debugged = debug(createHeap({ maximum: 2 ** 22 }), {
    reportAtExit: false,
    onReport: "throw",
  });
  const { abi } = debugged;
  for (const call of [
    abi.malloc,
    (n: number) => abi.realloc(0, n),
    (n: number) => abi.calloc(n, 1),
  ]) {
    assert.equal(call(-1), 0);
    assert.equal(call(2 ** 23), 0);
    const ptr = call(100);
    assert.equal(abi.malloc_usable_size(ptr), 100);
    abi.free(ptr);
  }
  assert.equal(abi.calloc(2 ** 16, 2 ** 16), 0);
  assert.equal(abi.reallocarray(0, 2 ** 16, 2 ** 16), 0);
  abi.free(abi.reallocarray(0, 10, 10));
  assert.equal(abi.aligned_alloc(3, 10), 0);
  assert.equal(abi.memalign(0, 10), 0);
  const out = abi.malloc(4);
  assert.equal(abi.posix_memalign(out, 3, 10), 28);
  assert.equal(abi.posix_memalign(out, 2, 10), 28);
  assert.equal(abi.posix_memalign(out, 64, 2 ** 23), 48);
  assert.equal(abi.posix_memalign(out, 64, 10), 0);
  const aligned = debugged.u32[out / 4] as number;
  assert.equal(aligned % 64, 0);
  abi.free_aligned_sized(aligned, 64, 10);
  abi.free_sized(out, 4);
  abi.free(0);
  abi.free_sized(0, 0);
  const text = debugged.allocString("a text", { terminate: true });
  const copy = abi.strdup(text.ptr);
  assert.equal(debugged.readString(copy), "a text");
  assert.equal(debugged.usableSize(copy), 7);
  const short = abi.strndup(text.ptr, 3);
  assert.equal(debugged.readString(short), "a t");
  assert.equal(abi.strdup(0), 0);
  for (const ptr of [text.ptr, copy, short]) abi.free(ptr);
  assert.throws(() => abi.free(copy), { code: "ERR_DOUBLE_FREE" });
  const block = abi.malloc(9);
  assert.throws(() => abi.free_sized(block, 8), { code: "ERR_SIZE_MISMATCH" });
  assert.equal(debugged.destroy(), "ok");
});
