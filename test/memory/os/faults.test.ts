/** Faults, each in a process of its own, because some end it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { FaultWatch } from "#src/memory/os/faults.js";
import { faultsCode } from "#src/memory/os/faults-code.js";
import { modules } from "../../support/checkout.js";
import { child, skip, skipFaults, traps } from "../../support/os.js";

const root = fileURLToPath(new URL("../../../../", import.meta.url));

/** The beginning of every child: a memory whose third slice is guarded. */
const scene = (shared: boolean) => `
  import { osPages } from "terrane/memory";
  import { probe } from "${root}build/test/support/probe.js";
  const os = osPages();
  const memory = new WebAssembly.Memory({ initial: 8, maximum: 64, shared: ${shared} });
  const base = os.addressOf(memory.buffer), at = 131072;
  const bytes = new Uint8Array(memory.buffer);
  const wasm = probe(memory);
  bytes[at] = 5;
  const guard = () => os.guard(base + at, 65536);
  guard();
`;

const watching = `
  const { watchFaults } = await import("${modules}memory/os/faults.js");
  const watch = watchFaults(base + at, 65536);
  const seen = () => watch.read().map((f) =>
    [f.address - base - at, f.write ? "write" : "read", f.thrown ? "thrown" : "opened"].join(" "));
  const run = (access) => {
    guard();
    try { return [access(), ...seen()].join(", "); }
    catch (error) { return [error.name, ...seen()].join(", "); }
  };
`;

const thrown = (seen: string, value: number | string) =>
  traps ? `RuntimeError, ${seen} thrown` : `${value}, ${seen} opened`;

/** The accesses: name, code, and what the handler records. */
const accesses: [string, string, string][] = [
  ["load", "wasm.load(at + 8)", thrown("8 read", 0)],
  ["store", "wasm.store(at + 12, 1)", thrown("12 write", "")],
  ["memory.fill", "wasm.fill(at + 16, 1)", ", 16 write opened"],
  ["read in JavaScript", "bytes[at + 20]", "0, 20 read opened"],
  ["write in JavaScript", "bytes[at + 24] = 7", "7, 24 write opened"],
  [
    "Atomics",
    "Atomics.store(new Int32Array(memory.buffer), (at + 28) / 4, 1)",
    "1, 28 write opened",
  ],
  ["TextDecoder", "new TextDecoder().decode(bytes.slice(at, at + 3)).length", "3, 0 read opened"],
];

for (const shared of [false, true]) {
  const kind = shared ? "shared memory" : "memory";
  test(`${kind}: without the handler wasm code traps, other accesses end the process`, {
    skip,
  }, () => {
    for (const [name, access, seen] of accesses) {
      const run = child(`${scene(shared)}
        try { console.log(${access}); } catch (error) { console.log(error.name); }`);
      if (seen.startsWith("RuntimeError")) assert.equal(run.stdout, "RuntimeError\n", name);
      else assert.equal(run.signal, "SIGSEGV", name);
    }
  });

  test(`${kind}: with the handler every access is recorded, and the process goes on`, {
    skip: skipFaults,
  }, () => {
    const list = accesses.map(([, access]) => `() => ${access}`).join(", ");
    const run = child(`${scene(shared)}${watching}
      for (const access of [${list}]) console.log(run(access));
      console.log(run(() => bytes[at - 1]), watch.pending);`);
    const expected = accesses.map(([, , seen]) => seen);
    assert.deepEqual(run.stdout.trimEnd().split("\n"), [...expected, "0 false"], run.stderr);
  });
}

test("atomics of wasm code trap or are recorded, depending on the compiler", {
  skip: skipFaults,
}, () => {
  const run = child(`${scene(true)}${watching} console.log(run(() => wasm.atomicAdd(at + 4, 1)));`);
  // On arm64 an operation that reads and writes may count as either.
  const kinds = process.arch === "arm64" ? ["read", "write"] : ["write"];
  const possible = kinds.flatMap((kind) => [
    `RuntimeError, 4 ${kind} thrown\n`,
    `0, 4 ${kind} opened\n`,
  ]);
  assert.ok(possible.includes(run.stdout), run.stdout + run.stderr);
});

test("a fault outside of the watched range goes to the engine", { skip: skipFaults }, () => {
  const trap = child(`${scene(false)}${watching}
    try { wasm.load(0x7fffffff) } catch (error) { console.log(error.name, seen().length) }
    os.guard(base, os.pageBytes);
    try { wasm.load(0) } catch (error) { console.log(error.name, seen().length) }
    bytes[0] = 1;`);
  assert.equal(trap.stdout, "RuntimeError 0\n".repeat(traps ? 2 : 1));
  assert.equal(trap.signal, "SIGSEGV");
});

test("a destroyed watch records nothing, and frees its range for another", {
  skip: skipFaults,
}, () => {
  const run = child(`${scene(false)}${watching}
    const all = [];
    for (;;) {
      const one = watchFaults(base, 1);
      if (!one.available) { console.log(all.length, one.missing); break; }
      all.push(one);
    }
    all[0].destroy();
    console.log(watchFaults(base, 1).available);
    watch.destroy();
    console.log(run(() => wasm.load(at)));
    bytes[at] = 1;`);
  assert.equal(
    run.stdout,
    "31 all 32 ranges of the process are watched: destroy one\n" +
      `true\n${traps ? "RuntimeError\n" : ""}`,
    run.stderr,
  );
  assert.equal(run.signal, "SIGSEGV");
});

test("pages that mprotect closed are opened too", { skip: skipFaults }, () => {
  const run = child(`${scene(false)}${watching}
    const closed = (access) => { os.protect(base + at, 65536, "none"); return access(); };
    console.log(closed(() => bytes[at]), seen());
    console.log(closed(() => (bytes[at + 5] = 6)), seen());`);
  assert.equal(run.stdout, "0 [ '0 read opened' ]\n6 [ '5 write opened' ]\n", run.stderr);
});

test("Workers share the handler, and each reads its own faults", { skip: skipFaults }, () => {
  const worker = `
    const { workerData, parentPort } = process.getBuiltinModule("node:worker_threads");
    (async () => {
      const { probe } = await import("${root}build/test/support/probe.js");
      const { osPages } = await import("${modules}memory/index.js");
      const { watchFaults } = await import("${modules}memory/os/faults.js");
      const os = osPages(), { memory, self } = workerData;
      const base = os.addressOf(memory.buffer), at = 65536 * (self + 1);
      const watch = watchFaults(base + at, 65536), wasm = probe(memory);
      const bytes = new Uint8Array(memory.buffer);
      let thrown = 0, opened = 0, wrong = 0;
      for (let i = 0; i < 400; i++) {
        os.guard(base + at, os.pageBytes);
        try { if (i % 2) wasm.store(at + i, 1); else bytes[at + i] = 1; } catch { thrown++; }
        for (const f of watch.read()) {
          if (f.address !== base + at + i) wrong++;
          else if (!f.thrown) opened++;
        }
      }
      parentPort.postMessage([thrown, opened, wrong].join(" "));
    })();`;
  const run = child(`
    import { Worker } from "node:worker_threads";
    const memory = new WebAssembly.Memory({ initial: 8, maximum: 8, shared: true });
    for (let self = 0; self < 3; self++) {
      new Worker(${JSON.stringify(worker)}, { eval: true, workerData: { memory, self } })
        .on("message", (text) => console.log(text));
    }`);
  const each = traps ? "200 200 0\n" : "0 400 0\n";
  assert.equal(run.stdout, each.repeat(3), run.stderr);
});

test("without the trap handler of V8 faults cannot be watched", {
  skip: skipFaults,
}, () => {
  const run = child(
    `const { watchFaults } = await import("${modules}memory/os/faults.js");
     console.log(watchFaults(65536, 65536).missing);`,
    {},
    "--disable-wasm-trap-handler",
  );
  assert.equal(run.stdout, "V8's trap handler is off\n", run.stderr);
});

test("accesses of wasm code that checks bounds itself are done, as those of JavaScript", {
  skip: skipFaults,
}, () => {
  const run = child(
    `${scene(false)}${watching}
     console.log(run(() => wasm.load(at)));
     console.log(run(() => wasm.store(at + 4, 1)));
     console.log(run(() => wasm.load(0x7fffffff)));`,
    {},
    "--wasm-enforce-bounds-checks",
  );
  assert.equal(run.stdout, "0, 0 read opened\n, 4 write opened\nRuntimeError\n", run.stderr);
});

test("faults that are being recorded come with the next read, replaced ones do not", () => {
  const [head, ring, entry] = [2, 128, 4];
  const range = new BigUint64Array(256);
  const watch = new FaultWatch(range, 0n);
  const note = (count: number, address: number, number: number) => {
    range[head] = BigInt(count);
    range.set([BigInt(address), 0n, 2n, BigInt(number)], ring + ((count - 1) % 32) * entry);
  };
  const addresses = () => watch.read().map(({ address }) => address);
  note(1, 10, 1);
  note(2, 20, 0);
  note(3, 30, 3);
  assert.deepEqual([addresses(), addresses(), watch.pending], [[10], [], true]);
  note(2, 20, 2);
  range[head] = 3n;
  assert.deepEqual([addresses(), watch.pending], [[20, 30], false]);
  for (let count = 4; count <= 43; count++) note(count, count, count);
  assert.deepEqual(
    addresses(),
    Array.from({ length: 32 }, (_, index) => 12 + index),
  );
});

for (const arch of ["x64", "arm64"]) {
  test(`the machine code for ${arch} is what its source assembles to`, (t) => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["scripts/faults.mjs", "--print", arch],
      { cwd: root, encoding: "utf8" },
    );
    const tools = stderr.includes("ENOENT");
    if (tools) return t.skip(`neither GNU binutils for ${arch} nor clang and llvm are here`);
    assert.equal(status, 0, stderr);
    assert.equal(stdout.trim(), faultsCode[arch]);
  });
}

test("without koffi watchFaults returns what is missing", () => {
  const run = child(
    `const { watchFaults } = await import("${modules}memory/os/faults.js");
     console.log(JSON.stringify(watchFaults(0, 1)));`,
    { TERRANE_KOFFI: "/nowhere" },
  );
  const missing = "koffi is not installed (npm install koffi)";
  assert.deepEqual(JSON.parse(run.stdout), { available: false, missing });
});
