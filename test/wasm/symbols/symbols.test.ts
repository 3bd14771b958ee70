/**
 * Files and lines: all versions of DWARF, inlined calls, source maps, names of Rust, and damage.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { frameText } from "#src/wasm/check/report.js";
import { readModule, Symbols } from "#src/wasm/index.js";
import { rustDemangle } from "#src/wasm/symbols/symbols.js";
import { Random, seedOf } from "../../support/random.js";
import { fixture, fixturePath, stripped } from "../support/fixtures.js";

/** The offset of the first instruction with this opcode in function 0. */
function offsetOf(bytes: Uint8Array, opcode: number): number {
  const body = readModule(bytes).bodies[0] as { code: number; end: number };
  const at = bytes.indexOf(opcode, body.code);
  assert.ok(at > 0 && at < body.end);
  return at;
}

const I32_LOAD = 0x28;

for (const version of [2, 3, 4, 5]) {
  test(`DWARF ${version}: inlined calls, with files, lines and columns`, () => {
    const bytes = fixture(`inline-dwarf${version}.wasm`);
    const symbols = new Symbols(readModule(bytes));
    const frames = symbols.frames(0, offsetOf(bytes, I32_LOAD)).map(frameText);
    assert.deepEqual(frames, [
      "inner (inline.c:2:80)",
      "outer (inline.c:5:10)",
      "go (inline.c:9:10)",
    ]);
  });
}

test("without debug information the function's name remains", () => {
  const module = readModule(stripped(fixture("inline-dwarf4.wasm")));
  assert.deepEqual(new Symbols(module).frames(0, 100), [{ function: "go" }]);
  const nameless = readModule(stripped(fixture("mistakes.wasm")));
  assert.equal(new Symbols(nameless).name(20), "function 20");
});

test("damaged debug information costs lines, and nothing else", () => {
  const random = new Random(seedOf(3));
  const bytes = fixture("inline-dwarf5.wasm");
  const debug = readModule(bytes).sections.filter((each) => each.name.startsWith(".debug"));
  const at = offsetOf(bytes, I32_LOAD);
  for (let round = 0; round < 3000; round++) {
    const damaged = bytes.slice();
    for (let i = random.between(1, 4); i > 0; i--) {
      const section = debug[random.below(debug.length)] as { start: number; end: number };
      damaged[random.between(section.start, section.end - 1)] = random.below(256);
    }
    const frames = new Symbols(readModule(damaged)).frames(0, at);
    assert.ok(frames.length > 0, `round ${round}, seed ${random.seed}`);
  }
});

test("a source map tells lines where there is no DWARF", () => {
  const module = readModule(fixture("strings.wasm"));
  const map = readFileSync(fixturePath("strings.wasm.map"), "utf8");
  const index = module.exports.find((each) => each.name === "correct")?.index as number;
  const body = module.bodies[index - module.importedFunctions] as { end: number };
  const [frame] = new Symbols(module, map).frames(index, body.end - 3);
  assert.deepEqual([frame?.file, frame?.line], ["strings.ts", 5]);
  assert.throws(() => new Symbols(module, "{}"), {
    name: "SyntaxError",
    message: "not a source map of version 3",
  });
});

test("Rust's legacy symbols become readable", () => {
  const names: readonly (readonly [string, string])[] = [
    ["_ZN4core3fmt9Formatter9write_str17h0123456789abcdefE", "core::fmt::Formatter::write_str"],
    [
      "_ZN5alloc7raw_vec19RawVec$LT$T$C$A$GT$16reserve17h6655e6988ab59405E",
      "alloc::raw_vec::RawVec<T,A>::reserve",
    ],
    [
      "_ZN60_$LT$alloc..string..String$u20$as$u20$core..fmt..Display$GT$3fmt17h14fa51b49b958a5cE",
      "<alloc::string::String as core::fmt::Display>::fmt",
    ],
    ["main", "main"],
    ["_ZN3foo", "_ZN3foo"],
  ];
  for (const [mangled, readable] of names) assert.equal(rustDemangle(mangled), readable);
});

/** .debug_line of version 5 whose list of folders has a format without fields, and many entries. */
test("tables of DWARF with entries of no bytes, and chains of indirect forms, end at once", () => {
  const bytes = fixture("inline-dwarf5.wasm");
  const module = readModule(bytes);
  const line = module.sections.find((each) => each.name === ".debug_line");
  const abbrev = module.sections.find((each) => each.name === ".debug_abbrev");
  assert.ok(line && abbrev);
  const frames = (damage: (copy: Uint8Array) => void) => {
    const copy = bytes.slice();
    damage(copy);
    const start = performance.now();
    const found = new Symbols(readModule(copy)).frames(0, offsetOf(bytes, I32_LOAD));
    assert.ok(performance.now() - start < 2000);
    return found.map((frame) => frame.line);
  };
  // Behind the lengths of the standard opcodes: the number of fields, then the number of folders.
  const base = line.start + 4 + 2 + 2 + 4 + 5;
  const fields = base + (bytes[base] as number);
  assert.equal(bytes[fields], 1, "folders have one field");
  frames((copy) => copy.set([0, 0xff, 0xff, 0xff, 0xff, 0x0f], fields));
  frames((copy) => copy.fill(0x16, abbrev.start + 3, abbrev.end));
});
