/** The ground region moves to the memory of the first pool that is entered: programs as written. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { modules } from "../../support/checkout.js";

/** Runs a program of its own, whose ground region is not in use yet; returns what it prints. */
function printed(body: string): string {
  const program = `
    import { createHeap } from "${modules}heap/index.js";
    import * as L from "${modules}layers/index.js";
    import { ScalarArray, HashMap } from "${modules}managed/index.js";
    import { wasmMemory } from "${modules}memory/index.js";
    const { enter, escape, currentRegion, getGroundRegion, pipe } = L;
    const thrown = (call) => { try { call(); return "nothing"; } catch (e) { return e.name + ": " + e.message; } };
    ${body}`;
  const args = ["--input-type=module", "-e", program];
  return execFileSync(process.execPath, args, { encoding: "utf8" }).trim();
}

const sources = {
  "slices(wasmMemory())": "L.slices(wasmMemory())",
  "sbrk(wasmMemory())": "L.sbrk(wasmMemory())",
  "std(createHeap())": "L.std(createHeap())",
  "mmap(createHeap())": "L.mmap(createHeap())",
};

for (const [name, source] of Object.entries(sources)) {
  for (const layers of ["", ", L.stats(), L.chunk(4096), L.segregated()", ", L.zone()"]) {
    test(`the example of the region library over ${name}${layers}`, () => {
      const out = printed(`
        const pool = pipe(${source}${layers || ", L.stats()"});
        let xs = new ScalarArray("i32");
        console.log(xs.ptr, [...xs].length);
        for (let round = 0; round < 3; round++) {
          xs = enter(pool, () => {
            const ys = new ScalarArray("i32");
            for (let i = 0; i < 5; i++) ys.push(i);
            escape(() => xs.push(...ys));
            const zs = new ScalarArray("i32");
            for (let i = 0; i < 5; i++) zs.push(i * 11);
            return escape(() => { xs.push(...zs); return xs; });
          });
        }
        console.log([...xs].join());
        const many = Array.from({ length: 3000 }, (_, i) => currentRegion().malloc(i));
        for (const ptr of many) currentRegion().free(ptr);
        xs.free();
        console.log(getGroundRegion().stats().bytes);`);
      const round = "0,1,2,3,4,0,11,22,33,44";
      assert.deepEqual(out.split("\n"), ["0 0", [round, round, round].join(), "0"]);
    });
  }
}

test("a layer that makes a pool of its own memory is entered as well", () => {
  const out = printed(`
    console.log(enter(() => pipe(L.slices(wasmMemory()), L.chunk()), () => currentRegion().malloc(10) > 0));`);
  assert.equal(out, "true");
});

test("asking for the current region, its statistics and its profile does not bind the ground", () => {
  const out = printed(`
    currentRegion().stats(); getGroundRegion().profile(); currentRegion().free(0);
    const heap = createHeap();
    L.setGroundHeap(heap);
    currentRegion().malloc(100);
    console.log(heap.stats().blocks);
    console.log(thrown(() => L.setGroundHeap(createHeap())));`);
  assert.match(
    out,
    /^1\nTypeError: setGroundHeap: call it before the first use of the ground region$/,
  );
});

test("once blocks lie in the ground, a pool of another memory is refused, and the text names the ways", () => {
  const out = printed(`
    currentRegion().malloc(1);
    for (const pool of [pipe(L.slices(wasmMemory()), L.stats()), L.std(createHeap())]) {
      console.log(thrown(() => enter(pool, () => {})));
    }
    for (const wrong of [undefined, null, 1, "arena", {}, createHeap()]) console.log(thrown(() => enter(wrong, () => {})));`);
  const lines = out.split("\n");
  for (const line of lines.slice(0, 2))
    assert.match(line, /setGroundHeap\(heap\).*outerSource\(\)/);
  for (const line of lines.slice(2)) assert.match(line, /^TypeError: enter: .*std\(heap\)$/);
  assert.equal(lines.length, 8);
});
