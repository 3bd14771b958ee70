/** Overridden programs have the same output and exit code as the original, and are valid. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ModuleEditor,
  type OverrideOptions,
  override,
  overrideImports,
  readModule,
} from "#src/wasm/index.js";
import { functionNames } from "#src/wasm/module/names.js";
import {
  fixture,
  fixturePath,
  moduleOf,
  other,
  others,
  plain,
  section,
  stripped,
} from "../support/fixtures.js";
import { wasiRun, wasiRunBytes } from "../support/wasi.js";

const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  "churn-O0": ["30000"],
  "churn-O1-g": ["30000"],
  "churn-O2": ["30000"],
  "churn-Os-stripped": ["30000"],
  "churn-cpp": [],
  "churn-rust": ["one", "two"],
};

for (const [name, args] of Object.entries(PROGRAMS)) {
  test(`${name}: merged and imported, same output and exit code as the original`, () => {
    const path = fixturePath(`${name}.wasm`);
    const [wanted, merged, imported] = wasiRun(path, ["original", "merge", "import"], args);
    assert.ok(wanted && wanted.code >= 7 && wanted.out.length > 50);
    assert.deepEqual(merged, wanted);
    // An imported heap does not know the address of the program's errno.
    if (name !== "churn-O0") assert.deepEqual(imported, wanted);
    else assert.match(wanted.out, /^too much 1 1 1$/m);
  });
}

test("errno is ENOMEM after each request that cannot be met, a product that is too large too", () => {
  const [wanted, merged] = wasiRun(fixturePath("errno.wasm"), ["original", "merge"], []);
  assert.match((wanted as { out: string }).out, /^calloc, 2\^32 bytes: 1 1$/m);
  assert.deepEqual(merged, wanted);
});

test("a program also runs on the heap in JavaScript", () => {
  const path = fixturePath("churn-O2.wasm");
  const [wanted, outcome] = wasiRun(path, ["original", "import-js"], ["3000"]);
  assert.deepEqual(outcome, wanted);
});

test("Rust without an operating system: results are the same", () => {
  const bytes = fixture("boxes.wasm");
  const changed = plain(override(bytes).bytes);
  for (const n of [1, 50, 3000]) assert.equal(changed.correct?.(n), plain(bytes).correct?.(n));
});

const every: readonly (readonly [string, () => Uint8Array<ArrayBuffer>])[] = [
  ...others.map((path) => [path, () => other(path)] as const),
  ...["mistakes", "operators", "boxes", "strings", "security"].map(
    (name) => [name, () => fixture(`${name}.wasm`)] as const,
  ),
  ["stripped mistakes", () => stripped(fixture("mistakes.wasm"))],
];
/** Those that cannot be replaced, and why: the core's heap is made by the code that loads it. */
const NOT_PROVEN = ["dist/core.wasm"];
/** Those whose malloc is an import. */
const IMPORTING = ["bench/workloads/workloads.wasm"];
/** Shared memories can only import. */
const SHARED = ["bench/rivals/dlmalloc-lock.wasm"];

for (const [name, bytes] of every) {
  test(`${name}: valid in every form, and so or refused when it is overridden again`, () => {
    const forms = SHARED.includes(name) ? (["import"] as const) : (["merge", "import"] as const);
    for (const form of forms) {
      const run = () => override(bytes(), { form });
      if (IMPORTING.includes(name)) {
        assert.throws(run, /^RangeError: it imports its allocator \(malloc, free, /);
        continue;
      }
      if (NOT_PROVEN.includes(name)) {
        assert.throws(run, /^RangeError: its allocator is not proven: /);
        continue;
      }
      const { bytes: changed, report } = run();
      assert.doesNotThrow(() => new WebAssembly.Module(changed));
      assert.ok(report.functions.some((each) => each.fate === "replaced"));
      if (form === "import") continue;
      try {
        assert.ok(WebAssembly.validate(override(changed).bytes));
      } catch (error) {
        assert.match(String(error), /^RangeError: its allocator cannot be replaced safely: /);
      }
    }
  });
}

test("the report names what was replaced, how it was found, and both sizes", () => {
  const bytes = fixture("churn-O2.wasm");
  const { bytes: changed, report } = override(bytes);
  const rows = report.functions.map(({ role, name, source, sure, fate }) =>
    [role.name, name, source, sure, fate].join(" "),
  );
  assert.ok(rows.includes("malloc malloc name certain replaced"));
  assert.ok(rows.includes("malloc dlmalloc name certain unused"));
  assert.deepEqual([report.form, report.pages, report.notes], ["merge", "memory.grow", []]);
  assert.deepEqual([report.bytesBefore, report.bytesAfter], [bytes.length, changed.length]);
});

test("the name section stays, with names of added functions; debug information is removed", () => {
  const { bytes } = override(fixture("churn-O1-g.wasm"));
  const custom = readModule(bytes).sections.filter((each) => each.id === 0);
  assert.deepEqual(
    custom.map((each) => each.name),
    ["name", "producers"],
  );
  const module = readModule(bytes);
  const names = functionNames(module);
  assert.equal(names.get(module.start as number), "terrane.start");
  const named = [...names.values()];
  for (const name of ["main", "malloc", "terrane.grow", "terrane.heapInit"]) {
    assert.equal(named.filter((each) => each === name).length, 1, name);
  }
});

test("C++: a new that calls malloc keeps its body, a delete that only calls free does not", () => {
  const { report } = override(fixture("churn-cpp.wasm"));
  const operators = report.functions.filter((each) => each.role.family.startsWith("new"));
  const fates = operators.map(({ role, fate }) => `${role.action} ${fate}`);
  assert.deepEqual([...new Set(fates)].sort(), ["alloc kept", "free replaced"]);
});

test("code that cannot be reached any more is removed, which saves most of the core's size", () => {
  const core = other("dist/core.wasm").length;
  for (const bytes of [fixture("churn-O2.wasm"), other("bench/rivals/dlmalloc.wasm")]) {
    const { report } = override(bytes);
    assert.ok(report.bytesAfter - report.bytesBefore < core * 0.28);
  }
});

const refused: readonly (readonly [string, Uint8Array<ArrayBuffer>, OverrideOptions, RegExp])[] = [
  [
    "no allocator",
    fixture("modern.wasm"),
    {},
    /^RangeError: it has no allocator to replace: no function allocates$/,
  ],
  [
    "more than one memory",
    fixture("memories.wasm"),
    {},
    /^ModuleError: .*overriding a module with more than one memory$/,
  ],
  [
    "64 bits",
    fixture("memory64.wasm"),
    {},
    /^ModuleError: .*overriding a memory with 64-bit addresses$/,
  ],
  [
    "a shared memory, merged",
    other("bench/rivals/dlmalloc-lock.wasm"),
    {},
    /^ModuleError: .*merging a heap into a module with a shared memory; import it$/,
  ],
  [
    "a function that is not there",
    fixture("churn-O2.wasm"),
    { functions: { malloc: "zork" } },
    /^RangeError: the module has no function zork$/,
  ],
  [
    "an sbrk of another type",
    fixture("churn-O2.wasm"),
    { functions: { malloc: "malloc", sbrk: "free" } },
    /^RangeError: function free cannot be sbrk$/,
  ],
  [
    "a part of the allocator, while other parts stay in use",
    fixture("churn-O2.wasm"),
    { functions: { malloc: "malloc", free: "free" }, trust: true },
    /^RangeError: its allocator .* safely: parts of it stay in use: function \d+ \(\w+\), /,
  ],
  [
    "an unknown form",
    fixture("churn-O2.wasm"),
    { form: "both" as "merge" },
    /^RangeError: form must be "merge" or "import", not "both"$/,
  ],
  [
    "an option that is gone",
    fixture("churn-O2.wasm"),
    { guess: true } as OverrideOptions,
    /^TypeError: unknown option guess; known: functions, trust, acceptLeftovers, form, maxMemory$/,
  ],
  [
    "trust of another kind",
    fixture("churn-O2.wasm"),
    { trust: "yes" as unknown as boolean },
    /^TypeError: trust must be true or false, not "?\w+"?$/,
  ],
  [
    "functions of another kind",
    fixture("churn-O2.wasm"),
    { functions: null as unknown as Record<string, string> },
    /^TypeError: functions must be an object, not null$/,
  ],
  [
    "a function without a name",
    fixture("churn-O2.wasm"),
    { functions: { malloc: "" } },
    /^RangeError: the module has no function $/,
  ],
  [
    "code that is not valid",
    moduleOf(
      section(1, 1, 0x60, 0, 0),
      section(3, 1, 0),
      section(5, 1, 0, 1),
      section(10, 1, 3, 0, 0x6a, 0x0b),
    ),
    {},
    /^RangeError: its allocator is not proven: its code is not valid$/,
  ],
  [
    "a maximum that is too small",
    fixture("churn-O2.wasm"),
    { maxMemory: 5 },
    /^RangeError: maxMemory must be from 65536 to 4294967296, not 5$/,
  ],
  [
    "a maximum for the imported form",
    fixture("churn-O2.wasm"),
    { form: "import", maxMemory: 2 ** 20 },
    /^RangeError: maxMemory is for the merged form; /,
  ],
];

for (const [what, bytes, options, message] of refused) {
  test(`refused: ${what}`, () => {
    assert.throws(() => override(bytes, options), message);
  });
}

/** A module whose only function has the name of one of a garbage collector. */
function withName(name: string): Uint8Array<ArrayBuffer> {
  const text = [...new TextEncoder().encode(name)];
  return moduleOf(
    section(1, 1, 0x60, 0, 0),
    section(3, 1, 0),
    section(5, 1, 0, 1),
    section(10, 1, 2, 0, 0x0b),
    section(
      0,
      4,
      ...new TextEncoder().encode("name"),
      1,
      text.length + 3,
      1,
      0,
      text.length,
      ...text,
    ),
  );
}

test("refused: garbage collectors, with the reason", () => {
  for (const [name, collector] of [
    ["runtime.growHeap", "TinyGo"],
    ["runtime.mallocgc", "Go"],
  ] as const) {
    assert.throws(() => override(withName(name)), {
      name: "RangeError",
      message: `its allocator is ${collector}'s garbage collector, which owns all of the memory: it cannot be replaced`,
    });
  }
});

/** The fixture with a memory that may not grow beyond `max` pages. */
function bounded(max: number): Uint8Array<ArrayBuffer> {
  const module = readModule(fixture("churn-O2.wasm"));
  const editor = new ModuleEditor(module);
  editor.setMemory({ min: 2, max, shared: false, is64: false });
  return editor.write().bytes;
}

test("a memory without space is refused, and its maximum is raised on request", () => {
  assert.throws(() => override(bounded(2)), {
    message:
      "its memory may not grow: it has 131072 bytes at its start and 131072 at most, and the " +
      "heap begins behind the start; allow more with --max-memory",
  });
  const { bytes, report } = override(bounded(2), { maxMemory: 2 ** 24 });
  assert.equal(report.memory.max, 256);
  const [wanted] = wasiRun(fixturePath("churn-O2.wasm"), ["original"], ["3000"]);
  assert.deepEqual(wasiRunBytes(bytes, ["3000"]), wanted);
});

test("without memory malloc returns null, and freed memory can be allocated again", () => {
  const editor = new ModuleEditor(readModule(other("bench/rivals/dlmalloc.wasm")));
  editor.setMemory({ min: 1, max: 20, shared: false, is64: false });
  const { malloc, free } = plain(override(editor.write().bytes).bytes) as unknown as {
    malloc: (n: number) => number;
    free: (p: number) => void;
  };
  const round = (): number[] => {
    const blocks: number[] = [];
    for (let ptr = malloc(5000); ptr !== 0; ptr = malloc(5000)) blocks.push(ptr);
    for (const ptr of blocks) free(ptr);
    return blocks;
  };
  const blocks = round();
  assert.ok(blocks.length > 150 && blocks.every((ptr) => ptr >= 65536 && ptr < 20 * 65536));
  assert.equal(round().length, blocks.length);
});

/** Imports of functions that do nothing. */
function nothing(bytes: Uint8Array): WebAssembly.ModuleImports {
  return Object.fromEntries(readModule(bytes).imports.map(({ name }) => [name, () => 0]));
}

test("without a page for the heap, the module does not start", () => {
  const imports = { env: { memory: new WebAssembly.Memory({ initial: 2, maximum: 2 }) } };
  const editor = new ModuleEditor(readModule(fixture("churn-O2.wasm")));
  const limits = { min: 1, max: undefined, shared: false, is64: false };
  editor.setMemory(limits, { module: "env", name: "memory" });
  const { bytes } = override(editor.write().bytes, { trust: true });
  assert.throws(
    () => plain(bytes, { ...imports, wasi_snapshot_preview1: nothing(bytes) }),
    (error: Error) => error.message === "unreachable" && /terrane\.start/.test(error.stack ?? ""),
  );
});

test("every prefix of a module is refused with one clear line", () => {
  const bytes = fixture("strings.wasm");
  for (let length = 0; length < bytes.length - 1; length += 13) {
    assert.throws(
      () => override(bytes.slice(0, length)),
      (error: Error) => /^(ModuleError|RangeError)$/.test(error.name) && !/\n/.test(error.message),
      `${length}`,
    );
  }
});

test("overrideImports requires a heap over a WebAssembly.Memory", () => {
  assert.throws(() => overrideImports({} as never), {
    name: "TypeError",
    message: "overrideImports needs a heap over a WebAssembly.Memory",
  });
});
