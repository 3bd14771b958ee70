/** Other kernels, emulators and platforms, simulated on this one. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { child, os, skip } from "../../support/os.js";

const folder = mkdtempSync(join(tmpdir(), "terrane-"));
after(() => rmSync(folder, { recursive: true }));

/** Path of a koffi that replaces some calls of the system; `real` has the real ones. */
function kernel(name: string, calls: string): string {
  const path = join(folder, `${name}.cjs`);
  const koffi = createRequire(import.meta.url).resolve("koffi");
  writeFileSync(
    path,
    `const koffi = require(${JSON.stringify(koffi)});
     const calls = { ${calls} };
     module.exports = { ...koffi, load: (path) => {
       const libc = koffi.load(path);
       return { symbol: (name) => libc.symbol(name), func: (name, ...types) => {
         const real = libc.func(name, ...types);
         return calls[name] ? (...values) => calls[name](real, ...values) : real;
       } };
     } };`,
  );
  return path;
}

const answer =
  'const os = osPages(); console.log(os.missing ?? os.guardKind + " " + os.pageBytes);';

test("a system that ignores advice is detected", { skip }, () => {
  const ask = (calls: string) => {
    const source = `import { osPages } from "terrane/memory"; ${answer}`;
    return child(source, { TERRANE_KOFFI: kernel("advice", calls) }).stdout;
  };
  const noGuards =
    "madvise: (real, at, bytes, advice) => advice === 102 ? 0 : real(at, bytes, advice)";
  assert.match(ask(noGuards), /^mprotect /, "an emulator that knows no guards");
  const nothing = "the system keeps pages that are given back\n";
  assert.equal(ask("madvise: () => 0"), nothing, "one that knows no advice at all");
  assert.match(ask("mmap: () => -1"), /^the system refuses \(errno \d+\)\n$/);
  assert.match(ask("mprotect: () => -1"), /^the system refuses \(errno \d+\)\n$/);
  assert.match(ask("madvise: () => -1"), /^the system refuses \(errno \d+\)\n$/);
});

for (const pageBytes of [16384, 65536]) {
  test(`pages of ${pageBytes} bytes: the system gets no smaller range`, {
    skip,
  }, (t) => {
    const real = os.pageBytes;
    if (real >= pageBytes) return t.skip(`pages of this kernel have ${real} bytes`);
    const whole = `(real, at, bytes, ...rest) => {
      if (at % ${pageBytes} !== 0 || bytes % ${pageBytes} !== 0) throw new Error(at + " " + bytes);
      return real(at, bytes, ...rest);
    }`;
    // mincore writes a byte for each page of this kernel: one of these pages has several.
    const large = kernel(
      `pages-${pageBytes}`,
      `sysconf: () => ${pageBytes},
       mmap: (real, at, bytes, ...rest) =>
         Math.ceil(real(at, bytes + ${pageBytes}, ...rest) / ${pageBytes}) * ${pageBytes},
       munmap: ${whole}, mprotect: ${whole}, madvise: ${whole},
       mincore: (real, at, bytes, into) => {
         if (typeof into === "bigint") return real(at, bytes, into);
         const small = new Uint8Array(bytes / ${real}), each = ${pageBytes} / ${real};
         const result = real(at, bytes, small);
         for (let i = 0; i < into.length; i++)
           into[i] = small.subarray(i * each, (i + 1) * each).some((byte) => byte & 1) ? 1 : 0;
         return result;
       }`,
    );
    const run = child(
      `import { createHeap } from "terrane";
       import { debug, guarded } from "terrane/debug";
       import { javascript } from "terrane/javascript";
       import { osMemory, osPages, simulatedMemory } from "terrane/memory";
       import { osSpace, createSizeClassHeap } from "terrane/sizeclass";
       const os = osPages(), page = os.pageBytes, say = (...values) => console.log(...values);
       say(page);
       const heap = createHeap({ backend: javascript, memory: osMemory() });
       const ptrs = Array.from({ length: 3000 }, (_, i) => heap.malloc(16 + i * 7));
       for (const [i, ptr] of ptrs.entries()) heap.u8.fill(1, ptr, ptr + 16 + i * 7);
       const { pages } = heap.source;
       const full = pages.resident(0, heap.u8.length);
       for (const ptr of ptrs) heap.free(ptr);
       heap.collect(true);
       say(full > 9e6, pages.resident(0, heap.u8.length) <= 2 ** 20, heap.stats().blocks);
       const guard = guarded(heap, { every: 1, slots: 4, onReport: "throw" });
       for (const size of [1, 5000, page, page + 1]) {
         const ptr = guard.malloc(size);
         guard.u8.fill(1, ptr, ptr + size);
         const ends = (ptr + Math.ceil(size / 16) * 16) % page === 0 ? "ends" : "";
         say(size, guard.isGuarded(ptr) ? ptr % page === 0 ? "begins" + ends : ends : "large");
         guard.free(ptr);
       }
       guard.check();
       guard.destroy();
       const classes = createSizeClassHeap({ space: osSpace(), releaseInterval: 0 });
       const blocks = Array.from({ length: 4000 }, () => classes.malloc(1000));
       for (const block of blocks) classes.free(block);
       classes.drain();
       const large = classes.malloc(10 * page + 5000);
       const next = classes.malloc(10 * page + 5000);
       say((next - large) % page, next - large >= 10 * page + 5000);
       classes.destroy();
       const mine = debug(createHeap({ backend: javascript, memory: osMemory() }), { neverUnmap: true });
       for (let i = 0; i < 50; i++) mine.free(mine.malloc(70000));
       mine.collect();
       say(mine.stats().blocks);`,
      { TERRANE_KOFFI: large },
    );
    assert.deepEqual(
      run.stdout.trimEnd().split("\n"),
      [
        `${pageBytes}`,
        "true true 0",
        "1 ends",
        "5000 begins",
        `${pageBytes} beginsends`,
        `${pageBytes + 1} large`,
        "0 true",
        "0",
      ],
      run.stderr,
    );
  });
}

const elsewhere: [string, string, string][] = [
  ["darwin", "arm64", "OS pages work on Linux, not yet on darwin"],
  ["win32", "x64", "OS pages work on Linux, not yet on win32"],
  ["freebsd", "x64", "OS pages work on Linux, not yet on freebsd"],
  ["linux", "arm", "OS pages do not know Linux on arm"],
];

for (const [platform, arch, missing] of elsewhere) {
  test(`${platform} on ${arch}: every call reports what is missing, and heaps work`, () => {
    const run = child(
      `for (const [name, value] of Object.entries({ platform: "${platform}", arch: "${arch}" }))
         Object.defineProperty(process, name, { value });
       const { createHeap } = await import("terrane");
       const { watchFaults, osMemory, osPages, tryOsPages, wasmMemory, withOsPages } =
         await import("terrane/memory");
       const { debug, guarded } = await import("terrane/debug");
       const { osSpace, createSizeClassHeap } = await import("terrane/sizeclass");
       for (const name of ["layers", "managed", "wasm", "mempool"]) await import("terrane/" + name);
       const said = (call) => {
         try { return call(); } catch (error) { return error.name + " " + error.message; }
       };
       const results = [
         osPages().missing,
         watchFaults(65536, 65536).missing,
         ...[
           () => withOsPages(wasmMemory()), () => osMemory(), () => createHeap({ release: withOsPages }),
           () => guarded(createHeap()), () => guarded(createHeap(), { faults: true }),
           () => osSpace(), () => createSizeClassHeap({ release: withOsPages }),
         ].map(said),
       ];
       for (const heap of [createHeap({ release: tryOsPages }), debug(createHeap({ release: tryOsPages })),
         createSizeClassHeap({ release: tryOsPages })]) heap.free(heap.malloc(100));
       console.log(results.join("\\n"));`,
    );
    const doors = ["withOsPages", "osMemory", "withOsPages", "withOsPages", "withOsPages"];
    assert.deepEqual(
      run.stdout.trimEnd().split("\n"),
      [
        missing,
        missing,
        ...[...doors, "osSpace", "withOsPages"].map(
          (door) => `RangeError ${door} needs OS pages: ${missing}`,
        ),
      ],
      run.stderr,
    );
  });
}

test("a koffi without its library is reported with the message of the loader", { skip }, () => {
  const path = join(folder, "loader.cjs");
  writeFileSync(path, 'process.dlopen({ exports: {} }, "/nowhere/musl_x64/koffi.node");');
  const source = `import { osPages } from "terrane/memory"; ${answer}`;
  const said = child(source, { TERRANE_KOFFI: path }).stdout;
  assert.ok(
    said.startsWith(`${path} does not load: /nowhere/musl_x64/koffi.node: cannot open`),
    said,
  );
});
