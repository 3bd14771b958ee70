/** What is told at the end of a process, and where. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { modules } from "../../support/checkout.js";

/** Runs a program; the names of the package are there. */
function run(program: string, args: string[] = [], env: Record<string, string> = {}) {
  const source = `
    import { createHeap } from "${modules}heap/index.js";
    import { debug } from "${modules}debug/index.js";
    ${program}`;
  return spawnSync(process.execPath, [...args, "--input-type=module", "-e", source], {
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
}

const forget = "function forget(heap) { heap.malloc(100); }\n";
/** Line of `forget` in the program: two imports stand above, and the first line is empty. */
const forgotten =
  "leak: 1 block of 100 bytes never freed\n" +
  "  1 block of 100 bytes (0x20010) allocated:\n" +
  "    at forget (ADDRESS:4:34)\n";

function address(text: string): string {
  return text.replace(/at forget \(.*\[eval1\]:/g, "at forget (ADDRESS:");
}

test("a leak is told at exit, on stderr, and without exitCode the exit code stays", () => {
  const { stdout, stderr, status } = run(
    `${forget}forget(debug(createHeap(), { stackTraceFrames: 1 }));`,
  );
  assert.equal(address(stderr), forgotten);
  assert.deepEqual([stdout, status], ["", 0]);
});

test("also by process.exit, after an uncaught error, and for every allocator", () => {
  const program = `${forget}
    for (let i = 0; i < 2; i++) forget(debug(createHeap(), { stackTraceFrames: 1 }));`;
  assert.equal(address(run(`${program} process.exit(3);`).stderr), forgotten + forgotten);
  assert.ok(address(run(`${program} throw new Error();`).stderr).includes(forgotten + forgotten));
});

test("what would be thrown is printed at exit, and a function is called", () => {
  const options = (onReport: string) => `{ stackTraceFrames: 1, onReport: ${onReport} }`;
  const program = (onReport: string) =>
    `${forget}forget(debug(createHeap(), ${options(onReport)}));`;
  assert.equal(address(run(program('"throw"')).stderr), forgotten);
  const called = run(program("(report) => console.log(report.code)"));
  assert.deepEqual([called.stdout, called.stderr], ["ERR_LEAK\n", ""]);
});

test("damage is told at exit too; nothing is told after destroy, without leaks, or unwanted", () => {
  const damage = "const d = debug(createHeap()); const p = d.malloc(1); d.u8[p + 1] = 1;";
  assert.match(run(damage).stderr, /^write past the end of .*\n[\s\S]*\nleak: 1 block of 1 byte/);
  const quiet = [
    "debug(createHeap());",
    "const d = debug(createHeap()); d.free(d.malloc(1));",
    "const d = debug(createHeap(), { reportAtExit: false }); d.malloc(1);",
    "const d = debug(createHeap(), { onReport: () => {} }); d.malloc(1); d.destroy();",
    "{ using d = debug(createHeap()); d.free(d.malloc(1)); }".replace("using d", "const d"),
  ];
  for (const program of quiet) assert.equal(run(program).stderr, "");
});

test("a forgotten handle is told once the collector has taken it", () => {
  const { stderr } = run(
    `function forget(heap) { heap.allocArray(Float64Array, 10); }
    function keep(heap) { return heap.allocString("kept"); }
    const heap = debug(createHeap(), { stackTraceFrames: 1, reportAtExit: false });
    const kept = keep(heap);
    forget(heap);
    heap.allocArray(Uint8Array, 5).free();
    heap.view(Uint8Array, heap.malloc(5), 5);
    for (let i = 0; i < 5; i++) { gc(); await new Promise((done) => setTimeout(done, 5)); }
    console.log(kept.length);`,
    ["--expose-gc"],
  );
  assert.equal(
    address(stderr),
    "forgotten handle: the block of 80 bytes at 0x24010 is still allocated, " +
      "but its handle was collected\n  allocated:\n    at forget (ADDRESS:4:34)\n",
  );
});

test("an allocator is held until destroy, and then goes with its heap", () => {
  const program = (end: string) =>
    `const refs = [];
    function use() {
      const heap = createHeap();
      refs.push(new WeakRef(heap));
      const debugged = debug(heap, { onReport: () => {} });
      debugged.malloc(1);
      ${end}
    }
    for (let i = 0; i < 20; i++) use();
    for (let i = 0; i < 5; i++) { gc(); await new Promise((done) => setTimeout(done, 5)); }
    console.log(refs.filter((ref) => ref.deref()).length);`;
  assert.equal(run(program("debugged.destroy();"), ["--expose-gc"]).stdout, "0\n");
  assert.equal(run(program(""), ["--expose-gc"]).stdout, "20\n");
});

test("nothing is coloured where there is no terminal", () => {
  const { stderr } = run(`${forget}forget(debug(createHeap()));`);
  assert.ok(!stderr.includes("\u001b"));
  // A terminal is what says that it is one; NO_COLOR goes first.
  const pretend = "process.stderr.isTTY = true;";
  const coloured = run(`${pretend}${forget}forget(debug(createHeap()));`, [], { NO_COLOR: "" });
  assert.ok(coloured.stderr.startsWith("\u001b[31;1mleak"));
  const plain = run(`${pretend}${forget}forget(debug(createHeap()));`, [], { NO_COLOR: "1" });
  assert.ok(plain.stderr.startsWith("leak"));
});

test("exitCode makes a process fail that has leaks or printed reports, and no other", () => {
  const leak = (options: string) => `debug(createHeap(), { ${options} }).malloc(5);`;
  const freed =
    "const d = debug(createHeap(), { exitCode: 23 }); const p = d.malloc(1); d.free(p);";
  const codes: [string, number][] = [
    [leak("exitCode: 23"), 23],
    [leak('exitCode: 23, onReport: "throw"'), 23],
    [leak("exitCode: 23, onReport: () => {}"), 23],
    [leak("exitCode: 23, reportAtExit: false"), 0],
    [leak("exitCode: 0"), 0],
    [`${leak("exitCode: 23")} process.exit(0);`, 23],
    [`${leak("exitCode: 23")} process.exit(3);`, 3],
    [`${leak("exitCode: 23")} process.exitCode = 4;`, 4],
    [`${leak("exitCode: 23")} throw new Error("own");`, 1],
    [freed, 0],
    [`${freed} d.free(p);`, 23],
    [`${freed} d.malloc(1); d.destroy();`, 23],
    [`${freed} d.destroy();`, 0],
  ];
  for (const [program, code] of codes) assert.equal(run(program).status, code, program);
});

test("TERRANE_EXIT_CODE is the default of exitCode, and a wrong one is refused", () => {
  const leak = "debug(createHeap()).malloc(5);";
  assert.equal(run(leak, [], { TERRANE_EXIT_CODE: "9" }).status, 9);
  assert.equal(run(leak, [], { TERRANE_EXIT_CODE: "" }).status, 0);
  const own = "debug(createHeap(), { exitCode: 0 }).malloc(5);";
  assert.equal(run(own, [], { TERRANE_EXIT_CODE: "9" }).status, 0);
  for (const wrong of ["256", "-1", "yes", "1.5"]) {
    const { status, stderr } = run(leak, [], { TERRANE_EXIT_CODE: wrong });
    assert.equal(status, 1);
    assert.match(stderr, /Error: TERRANE_EXIT_CODE must be a (whole )?number/);
  }
});
