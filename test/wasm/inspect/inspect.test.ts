/** Features and toolchains of modules. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readModule } from "#src/wasm/index.js";
import { featuresOf } from "#src/wasm/inspect/features.js";
import { languageOf, producersRead } from "#src/wasm/inspect/toolchain.js";
import { fixture, moduleOf, section } from "../support/fixtures.js";
import { wat } from "../support/wat.js";

function text(name: string): number[] {
  return [name.length, ...new TextEncoder().encode(name)];
}

const features: readonly (readonly [string, string])[] = [
  ["sign-extension", "(func (param i32) (result i32) (i32.extend8_s (local.get 0)))"],
  ["saturating-conversions", "(func (result i32) (i32.trunc_sat_f64_s (f64.const 1)))"],
  ["bulk-memory", "(func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))"],
  ["simd", "(func (drop (v128.const i64x2 0 0)))"],
  ["atomics", "(func (drop (i32.atomic.load (i32.const 0))))"],
  ["tail-calls", "(func $f (return_call $f))"],
  ["multi-value", "(func (result i32 i32) (i32.const 0) (i32.const 0))"],
];

for (const [name, code] of features) {
  test(`inspect: ${name} is found by its code`, () => {
    assert.deepEqual(featuresOf(readModule(wat(`(module (memory 1) ${code})`))), [name]);
  });
}

test("inspect: features of memories", () => {
  assert.deepEqual(featuresOf(readModule(wat("(module (memory 1 1 shared))"))), ["shared-memory"]);
  assert.ok(featuresOf(readModule(fixture("memory64.wasm"))).includes("memory64"));
  assert.ok(featuresOf(readModule(fixture("memories.wasm"))).includes("multi-memory"));
});

test("inspect: toolchains by producers and by names", () => {
  const rust = readModule(fixture("churn-rust.wasm"));
  assert.ok(producersRead(rust).some((each) => each.startsWith("language: Rust")));
  assert.ok(languageOf(readModule(fixture("strings.wasm"))).includes("AssemblyScript"));
  assert.ok(languageOf(readModule(fixture("churn-cpp.wasm"))).includes("C++"));
  assert.deepEqual(languageOf(readModule(wat("(module)"))), []);
});

test("inspect: a damaged producers section has no producers", () => {
  const damaged = section(0, ...text("producers"), 1, ...text("language"), 99);
  assert.deepEqual(producersRead(readModule(moduleOf(damaged))), []);
});
