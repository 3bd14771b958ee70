/** The examples print what they should, and leave nothing allocated. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeap } from "#src/heap/index.js";
import { arena, currentRegion, enter, expectNoLeaks, setGroundHeap } from "#src/layers/index.js";
import { append } from "../../examples/append.js";
import { binarytree, treeCount, treeFree, treeMake } from "../../examples/binarytree.js";
import { documentMake } from "../../examples/document.js";
import { json } from "../../examples/json.js";
import { jsonFree, jsonParse, jsonValue } from "../../examples/json-parser.js";
import { Random, seedOf } from "../support/random.js";

const heap = createHeap();
setGroundHeap(heap);

function printed(example: (args: string[], print: (line: string) => void) => void, arg?: string) {
  const lines: string[] = [];
  example(arg === undefined ? [] : [arg], (line) => lines.push(line));
  assert.equal(heap.stats().blocks, 0);
  return lines;
}

test("append", () => {
  const lines = printed(append);
  assert.equal(lines[0], "before the region: [], 0 numbers");
  assert.equal(lines.at(-2), "after the region: [0, 1, 2, 3, 4, 0, 11, 22, 33, 44], 10 numbers");
  assert.equal(lines.at(-1), "left in the region around: 0 bytes");
});

test("json parses 5 MB and compares the tree", () => {
  const lines = printed(json);
  assert.ok(Number(/^document: (\d+) bytes$/.exec(lines[0]!)?.[1]) > 5e6);
  assert.equal(lines[2], "the tree is what JSON.parse returns");
  assert.equal(lines[3], "left after the region: 0 bytes");
});

test("binarytree", () => {
  assert.deepEqual(printed(binarytree, "8"), [
    "stretch tree of depth 9\t check: 1023",
    "256\t trees of depth 4\t check: 7936",
    "64\t trees of depth 6\t check: 8128",
    "16\t trees of depth 8\t check: 8176",
    "long lived tree of depth 8\t check: 511",
    "left after the regions: 0 bytes",
  ]);
  const message = "the depth must be a whole number from 0 to 24, not x";
  assert.throws(() => printed(binarytree, "x"), { name: "RangeError", message });
});

test("trees and documents freed node by node leave nothing", () => {
  expectNoLeaks((region) => treeFree(region, treeMake(region, 6)));
  expectNoLeaks(() => jsonFree(jsonParse(new TextEncoder().encode(documentMake(1e4)))), {
    stacks: false,
  });
  enter(arena, (region) => assert.equal(treeCount(region, treeMake(region, 10)), 2047));
});

/** The result of the example's parser: a value, or that it refuses the text. */
function ours(text: string): unknown {
  const bytes = new TextEncoder().encode(text);
  try {
    return enter(arena, () => ({ value: jsonValue(jsonParse(bytes)) }));
  } catch (error) {
    assert.ok(error instanceof SyntaxError, String(error));
    assert.match(error.message, /^JSON: [\s\S]* at byte \d+$/);
    return "refused";
  }
}

function theirs(text: string): unknown {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return "refused";
  }
}

const texts = [
  "",
  " ",
  "null",
  " true ",
  "false",
  "nul",
  "0",
  "-0",
  "01",
  "-",
  "1.",
  ".5",
  "1e5",
  "1E+05",
  "-1.5e-7",
  "1e",
  "1e400",
  "+1",
  "123456789012345678901234567890",
  '""',
  '"a',
  '"\\n\\t\\"\\\\\\/\\b\\f\\r"',
  '"\\u00e9\\ud834\\udd1e"',
  '"\\u12"',
  '"\\x"',
  '"\\',
  '"a\nb"',
  '"é日本𝄞\u007f"',
  "[]",
  "[1,2,[3]]",
  "[1,]",
  "[,1]",
  "[1 2]",
  "[",
  "]",
  "{}",
  '{"a":1,"b":{"a":[]}}',
  '{"a":1,"a":2}',
  '{"__proto__":1}',
  '{"":0}',
  "{a:1}",
  '{"a"}',
  '{"a":}',
  '{"a":1,}',
  "1 1",
  "[1]x",
  "\ufeff1",
  "\u00a01",
];

for (const text of texts) {
  test(`JSON: ${JSON.stringify(text)} is read as JSON.parse reads it`, () => {
    assert.deepEqual(ours(text), theirs(text));
  });
}

test("JSON: random values and damaged texts are read as JSON.parse reads them", (t) => {
  const seed = seedOf(77);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const random = new Random(seed);
  const scalars = [null, true, false, 0, -1.5, 1e300, 2 ** -1074, "", 'a\u0001"\\é', "𝄞\u2028"];
  function value(depth: number): unknown {
    const kind = random.below(depth > 0 ? 4 : 2);
    if (kind === 0) return scalars[random.below(scalars.length)];
    if (kind === 1) return random.u32() / (random.u32() + 1);
    const items = Array.from({ length: random.below(5) }, () => value(depth - 1));
    return kind === 2 ? items : Object.fromEntries(items.map((item, i) => [`k"${i}`, item]));
  }
  for (let i = 0; i < 1000; i++) {
    const text = JSON.stringify(value(4), null, random.below(3));
    assert.deepEqual(ours(text), theirs(text));
    const at = random.below(text.length + 1);
    const damaged = text.slice(0, at) + ',]}"1e-\\u '[random.below(10)] + text.slice(at + 1);
    const whole = damaged.replace(/\p{Surrogate}/gu, "\ufffd"); // half of a pair is no UTF-8
    assert.deepEqual(ours(whole), theirs(whole), whole);
  }
  assert.equal(ours(`${"[".repeat(1001)}${"]".repeat(1001)}`), "refused");
  assert.equal(currentRegion().stats().bytes, 0);
});
