/** createImports: a module's memory and allocator, and the recipes of the guide, built and run. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createHeap, createImports } from "#src/heap/index.js";
import { javascript } from "#src/heap/javascript.js";
import { thrownText } from "../support/thrown.js";

const PAGE = 65536;

/** A module that imports env.malloc and env.memory with these limits. */
function moduleOf(...limits: number[]): Uint8Array<ArrayBuffer> {
  return moduleImporting("malloc", ...limits);
}

function moduleImporting(name: string, ...limits: number[]): Uint8Array<ArrayBuffer> {
  const env = [3, 0x65, 0x6e, 0x76];
  const malloc = [...env, name.length, ...Buffer.from(name), 0, 0];
  const memory = limits.length === 0 ? [] : [...env, 6, ...Buffer.from("memory"), 2, ...limits];
  const imports = [limits.length === 0 ? 1 : 2, ...malloc, ...memory];
  const type = [1, 6, 1, 0x60, 1, 0x7f, 1, 0x7f];
  const exported = [7, 5, 1, 1, 0x6d, 0, 0];
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...type,
    ...[2, imports.length, ...imports],
    ...exported,
  ]);
}

test("the heap lies behind the memory that the module declares", () => {
  for (const backend of [undefined, javascript]) {
    for (const pages of [1, 2, 17]) {
      const bytes = moduleOf(0, pages);
      const { heap, imports, connect } = createImports(bytes, { backend });
      const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), imports);
      assert.equal(connect(instance), instance);
      assert.equal(heap.source.start, pages * PAGE);
      const malloc = instance.exports.m as (size: number) => number;
      const ptr = malloc(100);
      assert.ok(ptr > pages * PAGE && heap.usableSize(ptr) >= 100);
      heap.u8.fill(0xff, 0, pages * PAGE);
      heap.free(ptr);
      assert.equal(heap.stats().blocks, 0);
    }
  }
});

test("the declared maximum, and the option, limit the heap", () => {
  const bytes = moduleOf(1, 2, 20);
  const { heap, imports } = createImports(bytes);
  new WebAssembly.Instance(new WebAssembly.Module(bytes), imports);
  while (heap.malloc(100_000) !== 0);
  assert.ok(heap.buffer.byteLength <= 20 * PAGE);
  const small = createImports(moduleOf(0, 2), { maximum: 10 * PAGE }).heap;
  while (small.malloc(100_000) !== 0);
  assert.ok(small.buffer.byteLength <= 10 * PAGE);
});

test("what cannot work is refused in words", () => {
  const refused = (bytes: unknown, options = {}) =>
    thrownText(() => createImports(bytes as ArrayBuffer, options));
  assert.equal(
    refused(moduleOf(0, 2), { heap: createHeap() }),
    "RangeError: createImports: the module has its stack and data in the first 131072 bytes of its " +
      "memory, and the heap begins at 65536, among them: leave the heap out, and createImports " +
      "makes one behind them, or give createHeap { offset: 131072 }",
  );
  assert.match(
    refused(moduleOf()),
    /^TypeError: .* a memory of its own: link it with --import-memory/,
  );
  assert.match(refused(moduleOf(1, 2, 2)), /^RangeError: .* may not grow.*larger --max-memory/);
  assert.match(refused(moduleOf(4, 2)), /^RangeError: .*64-bit addresses: compile it for wasm32/);
  assert.match(refused(moduleOf(3, 2, 9)), /^TypeError: .*shared.*createSharedHeap/);
  assert.match(
    refused(new WebAssembly.Module(moduleOf(0, 2))),
    /^TypeError: createImports needs the bytes of the module/,
  );
  assert.match(refused("program.wasm"), /^TypeError: bytes must be an ArrayBuffer or a view/);
  assert.match(
    refused(new Uint8Array(20)),
    /^TypeError: createImports needs .*does not begin as one/,
  );
  const whole = moduleOf(0, 2);
  for (let length = 0; length < whole.length - 10; length++) {
    assert.match(
      refused(whole.subarray(0, length)),
      /^TypeError: createImports|^nothing thrown|own/,
    );
  }
  assert.match(refused(whole, { heap: createHeap(), maximum: 1 }), /maximum is for a new heap/);
  assert.match(refused(moduleOf(0, 0x80, 0x80, 4)), /^RangeError: .*a smaller --initial-memory$/);
  assert.match(refused(moduleOf(0, 0x81, 0x80, 4)), /^TypeError: .*65537 to 65537 pages$/);
  assert.match(refused(moduleOf(1, 9, 8)), /^TypeError: .*9 to 8 pages$/);
});

test("wrong options are refused in words, by kind and by value", () => {
  const whole = moduleOf(0, 2);
  const refused = (options: unknown) => thrownText(() => createImports(whole, options as object));
  assert.match(refused(null), /^TypeError: options must be an object, not null$/);
  assert.match(refused(5), /^TypeError: options must be an object/);
  assert.match(refused({ imports: 5 }), /^TypeError: imports must be an object/);
  assert.match(refused({ imports: null }), /^TypeError: imports must be an object/);
  assert.match(refused({ imports: { env: 5 } }), /^TypeError: imports.env must be an object/);
  assert.match(refused({ heap: {} }), /^TypeError: .*heap/);
  assert.match(refused({ heap: null }), /^TypeError: .*heap/);
  assert.match(refused({ errno: 5 }), /^TypeError: errno must be "wasi" or "linux"/);
  assert.match(refused({ errno: "bsd" }), /^RangeError: errno must be/);
  assert.match(refused({ size: 5 }), /^TypeError: unknown option size/);
  for (const name of ["memory", "offset", "initial"]) {
    assert.match(refused({ [name]: 0 }), new RegExp(`^TypeError: .*import settles ${name}: leave`));
  }
  const { connect } = createImports(whole, { heap: undefined, offset: undefined } as object);
  for (const wrong of [null, undefined, 5, {}]) {
    assert.match(
      thrownText(() => connect(wrong as unknown as WebAssembly.Instance)),
      /^TypeError: instance must be a WebAssembly.Instance/,
    );
  }
});

test("names that every object has are not functions of the heap", () => {
  for (const name of ["toString", "valueOf", "constructor"]) {
    const { imports } = createImports(moduleImporting(name, 0, 2));
    assert.deepEqual(Object.keys(imports.env ?? {}), ["memory"]);
  }
});

test("a heap that was given, behind the module, serves; the caller's imports go first", () => {
  const memory = new WebAssembly.Memory({ initial: 4 });
  const heap = createHeap({ memory, offset: 2 * PAGE });
  const bytes = moduleOf(0, 2);
  const seen: number[] = [];
  const malloc = (size: number) => {
    seen.push(size);
    return heap.malloc(size);
  };
  const made = createImports(bytes, { heap, imports: { env: { malloc }, other: { x: () => {} } } });
  assert.equal(made.heap, heap);
  assert.deepEqual(Object.keys(made.imports), ["env", "other"]);
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), made.imports);
  (instance.exports.m as (size: number) => number)(33);
  assert.deepEqual(seen, [33]);
});

/** The sources and commands of the guide, by the heading under which they are. */
function recipes(): { name: string; files: [string, string][]; commands: string[] }[] {
  const text = readFileSync("docs/guide/wasm-authors.md", "utf8");
  return text
    .split(/^## /m)
    .slice(1)
    .map((part) => {
      const fences = [...part.matchAll(/^```(\w+)\n([^`]*)^```/gm)];
      const files = fences
        .filter(([, language]) => language !== "sh")
        .map(([, , body]): [string, string] => {
          return [/^\/\/ (\S+)/.exec(body as string)?.[1] as string, body as string];
        });
      const commands = fences
        .filter(([, language]) => language === "sh")
        .flatMap(([, , body]) => (body as string).trim().split("\n"));
      return { name: (part.split("\n")[0] as string).trim(), files, commands };
    });
}

test("the guide has a recipe for each language", () => {
  assert.deepEqual(
    recipes().map(({ name }) => name),
    ["C", "C++", "Rust", "Zig"],
  );
});

for (const { name, files, commands } of recipes()) {
  test(`the recipe for ${name} builds and runs`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "terrane-recipe-"));
    t.after(() => rmSync(folder, { recursive: true }));
    for (const [file, body] of files) writeFileSync(join(folder, file), body);
    const missing = missingTool(commands);
    if (missing) return t.skip(missing);
    for (const command of commands) {
      const [tool, ...args] = command.split(" ") as [string, ...string[]];
      execFileSync(tool, args, { cwd: folder, stdio: "pipe" });
    }
    const bytes = readFileSync(join(folder, "program.wasm"));
    const { heap, imports } = createImports(bytes);
    const { instance } = await WebAssembly.instantiate(bytes, imports);
    const run = instance.exports.run as (n: number) => number;
    assert.equal(run(5), 10);
    assert.equal(heap.stats().blocks, 1);
    for (let i = 0; i < 50; i++) assert.equal(run(1000), 499_500);
    assert.ok(heap.visitBlocks(() => {}));
  });
}

/** Why a recipe cannot be built here. */
function missingTool(commands: readonly string[]): string | undefined {
  for (const command of commands) {
    const tool = command.split(" ")[0] as string;
    const version = tool === "zig" ? ["version"] : ["--version"];
    try {
      execFileSync(tool, version, { stdio: "pipe" });
    } catch {
      return `${tool} is not installed`;
    }
    if (tool !== "rustc") continue;
    const args = ["--print", "target-libdir", "--target", "wasm32-unknown-unknown"];
    const folder = execFileSync(tool, args, { encoding: "utf8" }).trim();
    try {
      readFileSync(folder);
    } catch (error) {
      if ((error as { code?: string }).code === "ENOENT") {
        return "rustc has no target wasm32-unknown-unknown: rustup target add it";
      }
    }
  }
  return undefined;
}
