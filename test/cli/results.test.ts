/** What commands count and mark while a program runs: results of system calls, left functions. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { cli } from "../support/checkout.js";
import { namedWat } from "../wasm/support/wat.js";
import { terrane } from "./terrane.js";

const folder = mkdtempSync(join(tmpdir(), "terrane-results-"));

function put(name: string, text: string): string {
  const path = join(folder, `${name}.wasm`);
  writeFileSync(path, namedWat(text));
  return path;
}

/** Reads into a fresh block, then decides by the count and by the byte at `at` of the block. */
function reader(name: string, at: number): string {
  return put(
    name,
    `(module
      (import "wasi_snapshot_preview1" "fd_read"
        (func $read (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func $malloc (export "malloc") (param i32) (result i32) (i32.const 4096))
      (func $free (export "free") (param i32))
      (func (export "_start") (local $list i32) (local $count i32) (local $buffer i32)
        (local.set $buffer (call $malloc (i32.const 1000)))
        (local.set $list (call $malloc (i32.const 8)))
        (local.set $count (call $malloc (i32.const 4)))
        (i32.store (local.get $list) (local.get $buffer))
        (i32.store offset=4 (local.get $list) (i32.const 1000))
        (drop (call $read (i32.const 0) (local.get $list) (i32.const 1) (local.get $count)))
        (if (i32.load (local.get $count)) (then (nop)))
        (if (i32.load8_u offset=${at} (local.get $buffer)) (then (nop)))
        (call $free (local.get $buffer)) (call $free (local.get $list))
        (call $free (local.get $count))))`,
  );
}

/** Runs check --uninit with an input of so many bytes 0xC1. */
function uninit(path: string, bytes: number): { status: number | null; stderr: string } {
  const args = [cli, "check", "--trust", "--uninit", path];
  const input = Buffer.alloc(bytes, 0xc1);
  return spawnSync(process.execPath, args, { input, encoding: "utf8" });
}

test("check --uninit: what WASI has written is defined, whatever bytes it is", () => {
  const first = reader("first", 0);
  for (const bytes of [192, 193, 194, 0x1c1]) {
    const { status, stderr } = uninit(first, bytes);
    assert.equal(status, 0, `${bytes} bytes: ${stderr}`);
  }
});

test("check --uninit: what is behind the bytes that were read stays undefined", () => {
  const { status, stderr } = uninit(reader("behind", 500), 193);
  assert.equal(status, 1);
  assert.match(stderr, /^uninitialised-read: a condition depends on what was never written/);
});

/** An allocator that throws for large blocks; `attempt` catches that. */
const thrower = (attempt: string) => `(module (tag $error) (memory (export "memory") 2)
  (global $top (mut i32) (i32.const 1024))
  (func $malloc (export "malloc") (param i32) (result i32)
    (if (i32.gt_u (local.get 0) (i32.const 1000)) (then (throw $error)))
    (global.get $top)
    (global.set $top (i32.add (global.get $top) (i32.const 64))))
  (func $free (export "free") (param i32)
    (if (i32.eq (local.get 0) (i32.const 3)) (then (throw $error))))
  (func (export "_start")
    (drop (call $malloc (i32.const 8)))
    ${attempt}
    (drop (call $malloc (i32.const 16)))
    (call $free (call $malloc (i32.const 24)))))`;

const ways: readonly (readonly [string, string])[] = [
  [
    "try",
    `(try (do (drop (call $malloc (i32.const 5000)))) (catch $error))
     (try (do (call $free (i32.const 3))) (catch_all))`,
  ],
  [
    "try_table",
    `(block $out (try_table (catch $error $out) (drop (call $malloc (i32.const 5000)))))
     (block $all (try_table (catch_all $all) (call $free (i32.const 3))))`,
  ],
];

for (const [name, attempt] of ways) {
  const bytes = namedWat(thrower(attempt));
  const skip = WebAssembly.validate(bytes) ? false : "this engine does not have it";
  test(`run: calls behind one that ${name} has caught are counted`, { skip }, () => {
    const path = put(name, thrower(attempt));
    const { code, out, err } = terrane("run", "-a", "own", "--stats", "--trace", "-", path);
    assert.deepEqual([code, out], [0, "m 1 8\nm 2 16\nm 3 24\nf 3\n"]);
    assert.match(err, /allocations +3\n +frees +1\n/);
  });
}
