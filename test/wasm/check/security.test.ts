/** The table of docs/internals/check-coverage.md: every row is run, and must say what came out. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type CheckedProgram, fixturePath, programOf, programRun } from "../support/fixtures.js";

const docs = readFileSync(
  fileURLToPath(new URL("../../../../docs/internals/check-coverage.md", import.meta.url)),
  "utf8",
);
const rows = [...docs.matchAll(/^\| `(\w+)` \| .* \| ([\w-]+)( with `--uninit`)? \|$/gm)].map(
  ([, name, result, flag]) => ({ name: name as string, result, uninitialised: !!flag }),
);

interface Fixture {
  readonly names: readonly string[];
  readonly run: (name: string, uninitialised: boolean) => string[];
}

/** A fixture by its source: the functions that it has, and the kinds of mistakes that one makes. */
function fixtureOf(source: string, file: string): Fixture {
  const text = readFileSync(fixturePath(source), "utf8");
  const made = [false, true].map((uninitialised) => programOf(file, uninitialised));
  return {
    names: [...text.matchAll(/^CASE\((\w+)\)/gm)].map((match) => match[1] as string),
    run(name, uninitialised) {
      const checker = programRun(made[uninitialised ? 1 : 0] as CheckedProgram, name);
      // Blocks that start-up code has allocated for arguments do not count.
      const leaks = name.startsWith("leak") ? checker.leaks().reports : [];
      const own = leaks.filter(({ stack }) =>
        stack.some((frame) => frame.function.startsWith(name)),
      );
      return [...checker.reports, ...own].map((report) => report.kind);
    },
  };
}

const fixtures = [
  fixtureOf("security.c", "security.wasm"),
  fixtureOf("security.cpp", "security-cpp.wasm"),
];

for (const { name, result, uninitialised } of rows) {
  test(`${name}: ${result}`, () => {
    const { run } = fixtures.find((each) => each.names.includes(name)) as Fixture;
    const isFound = result !== "missed" && result !== "prevented";
    assert.equal(run(name, uninitialised)[0], isFound ? result : undefined);
  });
}

test("every function has a row", () => {
  assert.deepEqual(
    rows.map(({ name }) => name),
    fixtures.flatMap(({ names }) => names),
  );
});
