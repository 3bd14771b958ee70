/** Every mistake of the fixtures, as the command line reports it, compared line by line. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { cli } from "../../support/checkout.js";
import { fixturePath } from "../support/fixtures.js";

interface Ended {
  readonly code: number | null;
  readonly err: string;
}

function check(...rest: readonly string[]): Promise<Ended> {
  const args = [cli, "check", ...rest];
  const child = spawn(process.execPath, args, { cwd: fixturePath("") });
  let err = "";
  child.stderr.on("data", (text) => {
    err += text;
  });
  child.stdout.resume();
  return new Promise((resolve) => {
    child.on("close", (code) => resolve({ code, err }));
  });
}

/** Sections "=== NAME (exit CODE)" with the text that is expected on standard error. */
function expectations(file: string): { name: string; code: number; text: string }[] {
  const sections = readFileSync(fixturePath(file), "utf8").split(/^=== /m).slice(1);
  return sections.map((section) => {
    const [, name, code, text] = /^([\w-]+) \(exit (\d+)\)\n([\s\S]*)$/.exec(section) ?? [];
    return { name: name as string, code: Number(code), text: text as string };
  });
}

/** Fixtures, the options that they need, and their sources. */
const programs: readonly (readonly [string, readonly string[], string])[] = [
  ["mistakes", [], "mistakes.c"],
  ["operators", [], "operators.cpp"],
  ["uninit", ["--uninit"], "uninit.c"],
];

for (const [program, flags] of programs) {
  test(`${program}: every mistake is reported as expected, correct code is not`, async (t) => {
    const cases = expectations(`${program}.txt`);
    assert.ok(cases.length >= 8);
    const run = (each: (typeof cases)[number]) =>
      t.test(each.name, async () => {
        const { code, err } = await check(...flags, `${program}.wasm`, each.name);
        assert.deepEqual(err.split("\n"), each.text.split("\n"));
        assert.equal(code, each.code);
      });
    // Two at a time: starting Node takes most of the time.
    for (let i = 0; i < cases.length; i += 2) await Promise.all(cases.slice(i, i + 2).map(run));
  });
}

test("every mistake of a fixture has an expectation", async () => {
  for (const [program, , file] of programs) {
    const source = readFileSync(fixturePath(file));
    const names = [...String(source).matchAll(/\{"([\w-]+)", \w+\}/g)].map((match) => match[1]);
    assert.deepEqual(
      expectations(`${program}.txt`).map((each) => each.name),
      names,
    );
  }
});
