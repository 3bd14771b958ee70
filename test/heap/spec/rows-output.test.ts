/** Rows 98 to 100: where messages go, how many of them, and what a handler may do. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { test } from "node:test";
import { outputWrite } from "#src/common/log-output.js";
import { createAbi, createHeap, options, registerOutput } from "#src/heap/index.js";
import { anyHeap } from "../../support/any-heap.js";
import { built, modules } from "../../support/checkout.js";
import { placesOf } from "../../support/places.js";

const places = placesOf(2 ** 22);

/** Runs a program of its own, since what is said before a handler comes is said once a process. */
function program(source: string, env: Record<string, string> = {}) {
  return spawnSync(process.execPath, ["--input-type=module", "-e", source], {
    cwd: built,
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
}

test("row 98: output buffering - what was said before comes in one call, then two a message", () => {
  const { stdout, stderr } = program(
    `import { createHeap, registerOutput } from "terrane";
    const heap = createHeap({ maximum: 2 ** 20 });
    heap.malloc(2 ** 22);
    heap.malloc(2 ** 23);
    const calls = [];
    registerOutput((text) => calls.push(text));
    heap.malloc(2 ** 24);
    registerOutput(undefined);
    heap.malloc(2 ** 25);
    const late = [];
    registerOutput((text) => late.push(text));
    console.log(JSON.stringify([calls, late]));`,
    { TERRANE_SHOW_ERRORS: "1" },
  );
  const line = (mib: number) => `unable to allocate memory (${mib * 2 ** 20} bytes)\n`;
  const said = (mib: number) => `terrane: error: ${line(mib)}`;
  assert.deepEqual(JSON.parse(stdout), [[said(4) + said(8), "terrane: error: ", line(16)], []]);
  assert.equal(stderr, said(4) + said(8) + said(32));
});

test("row 98: output buffering - 32 KiB are kept, the rest is only said", () => {
  const { stdout, stderr } = program(
    `import { registerOutput } from "terrane";
    import { outputWrite } from "${modules}common/log-output.js";
    for (let i = 0; i < 5; i++) outputWrite(String(i).repeat(10000));
    registerOutput((text) => console.log(text.length + text.at(0) + text.at(-1)));`,
  );
  assert.equal(stdout, "3276803\n");
  assert.equal(stderr.length, 50000);
});

test("row 98: output buffering - a Worker's messages name its thread, and reach stderr", () => {
  const { stderr } = program(
    `import { Worker } from "node:worker_threads";
    import { createSharedHeap } from "terrane/shared";
    const heap = createSharedHeap({ maximum: 2 ** 22 });
    const source = \`
      import { workerData } from "node:worker_threads";
      import { attachHeap } from "terrane/shared";
      attachHeap(workerData).malloc(2 ** 24);\`;
    heap.startWorker((handle) => new Worker(
      new URL("data:text/javascript," + encodeURIComponent(source.replace(/"terrane.shared"/, JSON.stringify(import.meta.resolve("terrane/shared"))))),
      { workerData: handle },
    ));`,
    { MIMALLOC_SHOW_ERRORS: "1" },
  );
  assert.equal(stderr, "terrane: error: thread 0x2: unable to allocate memory (16777216 bytes)\n");
});

/** Runs `body` with a handler and these options, and puts everything back. */
function listening(set: [Parameters<typeof options.set>[0], number][], body: () => void): string[] {
  const calls: string[] = [];
  registerOutput((text) => calls.push(text));
  const before = set.map(([name]) => options.get(name));
  for (const [name, value] of set) options.set(name, value);
  try {
    body();
  } finally {
    for (const [i, [name]] of set.entries()) options.set(name, before[i] as number);
  }
  return calls;
}

for (const [place, parts] of places) {
  test(`${place}: row 99: max_errors - 30 errors: 16 are printed, the handler hears of all`, () => {
    const { stdout, stderr } = program(
      `import { anyHeap } from "${built}test/support/any-heap.js";
      let heard = 0;
      const heap = anyHeap({ ...${JSON.stringify(parts)}, onError: () => { heard += 1; } });
      for (let i = 0; i < 30; i++) heap.malloc(2 ** 24);
      console.log(heard);`,
      { TERRANE_SHOW_ERRORS: "1" },
    );
    assert.equal(stdout, "30\n");
    const lines = stderr.trim().split("\n");
    assert.equal(lines.length, 16);
    const text = "terrane: error: unable to allocate memory (16777216 bytes)";
    assert.ok(lines.every((line) => line === text));
  });

  test(`${place}: nothing is printed unless errors are shown; verbose has no limit`, () => {
    const heap = anyHeap(parts);
    const fails = () => {
      for (let i = 0; i < 20; i++) assert.equal(heap.malloc(2 ** 24), 0);
    };
    assert.deepEqual(listening([], fails), []);
    assert.equal(listening([["verbose", 1]], fails).length, 40);
    const unlimited = listening([["showErrors", 1], ["maxErrors", -1]], fails); // biome-ignore format: one line
    assert.equal(unlimited.length, 40);
    assert.deepEqual(listening([["showErrors", 1], ["maxErrors", 0]], fails), []); // biome-ignore format: one line
  });

  test(`${place}: what each error says`, () => {
    const heap = anyHeap(parts);
    const calls = listening([["verbose", 1]], () => {
      heap.malloc(2 ** 24);
      createAbi(heap).malloc?.(0xfffffff0 | 0);
      heap.newNothrow(2 ** 24);
      assert.throws(() => heap.new(2 ** 24), /^HeapError: new: no memory/);
    });
    const out = "unable to allocate memory";
    assert.deepEqual(
      calls.filter((_, i) => i % 2 === 1),
      [
        `${out} (16777216 bytes)\n`,
        "allocation request is too large (4294967280 bytes)\n",
        "allocation request is too large (4294967280 bytes)\n",
        `${out} (4294967280 bytes)\n`,
        `${out} (16777216 bytes)\n`,
        "out of memory in 'new'\n",
        `${out} (16777216 bytes)\n`,
        "out of memory in 'new'\n",
      ],
    );
    assert.ok(calls.every((text, i) => i % 2 === 1 || text === "terrane: error: "));
  });

  test(`${place}: row 100: recursion guard - what a handler causes to be said is dropped`, () => {
    const heap = anyHeap(parts);
    let calls = 0;
    options.enable("verbose");
    registerOutput(() => {
      calls += 1;
      assert.equal(heap.malloc(2 ** 24), 0);
      outputWrite("nested");
    });
    assert.equal(heap.malloc(2 ** 24), 0);
    assert.equal(calls, 2);
    registerOutput(() => {
      calls += 1;
      throw new Error("mine");
    });
    assert.throws(() => heap.malloc(2 ** 24), /^Error: mine$/);
    assert.throws(() => heap.malloc(2 ** 24), /^Error: mine$/);
    assert.equal(calls, 4);
    options.disable("verbose");
    registerOutput(() => {});
  });
}

test("growth is told at level 2 of verbose, a refused reservation as a warning", () => {
  const calls = listening([["verbose", 2]], () => {
    createHeap({ maximum: 2 ** 22 }).malloc(2 ** 20);
    options.set("reserveOsMemory", 2 ** 20);
    createHeap({ maximum: 2 ** 22 });
    options.set("reserveOsMemory", 0);
  });
  const text = calls.join("");
  assert.match(text, /^terrane: the memory has grown by \d+ KiB at 64 KiB \* \d+$/m);
  assert.match(text, /^terrane: warning: unable to reserve 1048576 KiB for a heap$/m);
});

test("an option that cannot be read is a warning where errors are shown, and for verbose always", () => {
  const show =
    'import { options } from "terrane"; console.log(options.get("verbose"), options.get("osTag"));';
  const run = (env: Record<string, string>) => program(show, env);
  const invalid = (name: string) =>
    `terrane: warning: environment option terrane_${name} has an invalid value.\n`;
  assert.equal(run({ TERRANE_OS_TAG: "x1" }).stderr, "");
  assert.equal(run({ TERRANE_OS_TAG: "x1", TERRANE_SHOW_ERRORS: "1" }).stderr, invalid("os_tag"));
  assert.equal(run({ TERRANE_VERBOSE: "x1" }).stderr, invalid("verbose"));
  assert.equal(run({ TERRANE_OS_TAG: "5", TERRANE_VERBOSE: "2" }).stdout, "2 5\n");
});

test("without a process messages go to the console, a line a call", () => {
  const printed = execFileSync(
    process.execPath,
    [
      "--input-type=module",
      "-e",
      `const { messageWrite } = await import("${modules}common/log-output.js");
      const said = [];
      console.error = (text) => said.push(text);
      const { log } = console;
      delete globalThis.process;
      messageWrite("a: ", "b");
      messageWrite("c: ", "d\\ne");
      log(JSON.stringify(said));`,
    ],
    { cwd: built, encoding: "utf8" },
  );
  assert.deepEqual(JSON.parse(printed), ["a: b", "c: d", "e"]);
});

test("what is not a function is refused", () => {
  const message = "output must be a function or undefined, not number";
  assert.throws(() => registerOutput(5 as never), { name: "TypeError", message });
});
