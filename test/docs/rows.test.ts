/**
 * The checklist of the specification (26): each row has a test, or a reason in docs/internals/differences.md
 * why it has none, or belongs to what is still to come. rows.json is the list:
 *
 *   tests    files that have a test named after the row, as "row 7: …" or row("7: …"), rowInBoth("7: …")
 *   named    the name of the test, where it is not named after the row
 *   differs  words of the reason in docs/internals/differences.md
 *   open     what is to come
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

interface Row {
  row: number;
  feature: string;
  tests?: string[];
  named?: string;
  differs?: string;
  open?: string;
}

const root = fileURLToPath(new URL("../../../", import.meta.url));
const read = (path: string) => readFileSync(root + path, "utf8");
const rows: Row[] = JSON.parse(read("test/docs/rows.json"));
const differences = read("docs/internals/differences.md");

/** Whether a file has a test whose name names a row, alone or among others. */
function names(text: string, row: number): boolean {
  const helper = new RegExp(`[rR]ow\\w*\\(\\s*["'\`]${row}:`);
  const title = new RegExp(`["'\`][^"'\`\\n]*\\brows? (\\d+, )*${row}(, \\d+)*[:,] ?[^\\n]`);
  return helper.test(text) || title.test(text);
}

test("the checklist has 127 rows, each once", () => {
  assert.deepEqual(
    rows.map(({ row }) => row),
    Array.from({ length: 127 }, (_, i) => i + 1),
  );
  for (const { row, ...rest } of rows) {
    for (const key of Object.keys(rest)) {
      assert.ok(["feature", "tests", "named", "differs", "open"].includes(key), `${row}: ${key}`);
    }
  }
});

for (const { row, feature, tests = [], named, differs, open } of rows) {
  test(`checklist row ${row}, ${feature}, is covered`, (t) => {
    for (const file of tests) {
      const text = read(`test/${file}`);
      const has = named === undefined ? names(text, row) : text.includes(named);
      assert.ok(has, `test/${file} has no test named ${named ?? `after row ${row}`}`);
    }
    if (differs) assert.ok(differences.includes(differs), `no reason "${differs}"`);
    if (open) t.diagnostic(`row ${row} is to come with ${open}`);
    assert.ok(tests.length > 0 || differs || open, "neither a test nor a reason");
  });
}
