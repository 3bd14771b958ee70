/** The table of docs/checking.md: every row is run, and must say what came out. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { checked, fixture } from "./fixtures.js";

const docs = readFileSync(
  fileURLToPath(new URL("../../../docs/checking.md", import.meta.url)),
  "utf8",
);
const rows = [...docs.matchAll(/^\| `(\w+)` \| .* \| ([\w-]+) \|$/gm)].map(
  ([, name, result]) => [name as string, result as string] as const,
);

/** As much of WASI as the program needs: arguments, and an end. */
function wasi(memory: () => WebAssembly.Memory, argument: string): WebAssembly.ModuleImports {
  const texts = ["security", argument].map((text) => new TextEncoder().encode(`${text}\0`));
  const view = () => new DataView(memory().buffer);
  return {
    args_sizes_get(count: number, bytes: number): number {
      view().setUint32(count, texts.length, true);
      view().setUint32(
        bytes,
        texts.reduce((sum, text) => sum + text.length, 0),
        true,
      );
      return 0;
    },
    args_get(pointers: number, bytes: number): number {
      let at = bytes;
      texts.forEach((text, i) => {
        view().setUint32(pointers + i * 4, at, true);
        new Uint8Array(memory().buffer).set(text, at);
        at += text.length;
      });
      return 0;
    },
    proc_exit(code: number): never {
      throw new Error(`exit ${code}`);
    },
  };
}

/** The kinds of mistakes that one function makes; "nothing" when it ends without any. */
function kindsOf(name: string): string[] {
  let memory: WebAssembly.Memory;
  const imports = { wasi_snapshot_preview1: wasi(() => memory, name) };
  const { checker, exports } = checked(fixture("security.wasm"), {}, imports);
  memory = checker.memory;
  try {
    exports._start?.();
  } catch (error) {
    if ((error as Error).name !== "CheckHalt") throw error;
  }
  const found = checker.reports.map((report) => report.kind);
  if (name === "leak") found.push(...checker.leaks().reports.map((report) => report.kind));
  return [...new Set(found)];
}

for (const [name, result] of rows) {
  test(`${name}: ${result}`, () => {
    const isFound = result !== "missed" && result !== "prevented";
    assert.deepEqual(name === "leak" ? [kindsOf(name)[0]] : kindsOf(name), isFound ? [result] : []);
  });
}

test("every function has a row", () => {
  const source = readFileSync(
    fileURLToPath(new URL("../../../test/wasm/fixtures/security.c", import.meta.url)),
    "utf8",
  );
  const names = [...source.matchAll(/^CASE\((\w+)\)/gm)].map((match) => match[1]);
  assert.deepEqual(
    rows.map(([name]) => name),
    names,
  );
});
