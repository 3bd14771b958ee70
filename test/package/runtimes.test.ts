/** Every entry point in Bun and Deno, which npm installs for the run; skipped where it cannot. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { root } from "../support/checkout.js";

const folder = mkdtempSync(join(tmpdir(), "terrane-runtimes-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const MINUTES = 3;

const program = `
import { createHeap } from "terrane";
import { javascript } from "terrane/javascript";
import { createSharedHeap } from "terrane/shared";
import * as hardening from "terrane/hardening";
import { wasmMemory } from "terrane/memory";
import { createSizeClassHeap } from "terrane/sizeclass";
import { arena, createAllocator, currentRegion, enter, pipe, slices, std } from "terrane/layers";
import { ScalarArray } from "terrane/managed";
import { debug, expectNoLeaks } from "terrane/debug";
import * as wasm from "terrane/wasm";
import * as mempool from "terrane/mempool";

const seen = [];
for (const heap of [createHeap(), createHeap({ backend: javascript }), createSharedHeap()]) {
  const text = heap.allocString("grüße", { terminate: true });
  seen.push(heap.readString(text.ptr));
  text.free();
  try { heap.free(12); } catch (error) { seen.push(error.code); }
}
seen.push(createAllocator(arena(std(createHeap()))).malloc(10) > 0);
seen.push(enter(arena, () => { const xs = new ScalarArray("f64"); xs.push(1, 2); return xs.at(-1); }));
seen.push(await enter(arena, async (region) => { await null; return currentRegion() === region; }));
seen.push(pipe(slices(wasmMemory())).get(10) > 0);
const reports = [];
const heap = debug(createHeap(), { onReport: (report) => reports.push(report) });
function allocate() { const p = heap.malloc(4); heap.u8[p] = 1; return p > 3 ? p : 0; } // no tail call
const ptr = allocate();
heap.u8[ptr + 5] = 1;
heap.free(ptr);
heap.free(ptr);
allocate();
seen.push(heap.destroy(), ...reports.map(({ code }) => code));
seen.push(/at allocate \\(.*program\\.mjs:\\d+:\\d+\\)/.test(String(reports[0])));
try { expectNoLeaks(createHeap(), (each) => void each.malloc(1)); } catch (error) { seen.push(error.code); }
seen.push([hardening, wasm, mempool].every((entry) => Object.keys(entry).length > 0), typeof createSizeClassHeap);
console.log(JSON.stringify(seen));
`;

const expected = [
  ...["grüße", "ERR_NOT_A_BLOCK", "grüße", "ERR_NOT_A_BLOCK", "grüße", "ERR_NOT_A_BLOCK"],
  ...[true, 2, true, true, "leak", "ERR_HEAP_OVERFLOW", "ERR_DOUBLE_FREE", "ERR_LEAK", true],
  ...["ERR_LEAK", true, "function"],
];

function call(command: string, args: string[], minutes: number) {
  return spawnSync(command, args, { cwd: folder, encoding: "utf8", timeout: minutes * 60_000 });
}

writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }');
writeFileSync(join(folder, "program.mjs"), program);

for (const [runtime, args] of [
  ["bun", ["run", "program.mjs"]],
  ["deno", ["run", "--allow-all", "program.mjs"]],
  ["deno", ["run", "--no-prompt", "--allow-read", "program.mjs"]],
] as const) {
  test(`${runtime} ${args.slice(1, -1).join(" ")}: every entry point loads, and reports have frames`, (t) => {
    const installed = call("npm", ["install", "--no-audit", "--no-fund", runtime], MINUTES);
    if (installed.status !== 0) {
      t.skip(`${runtime} cannot be installed: ${String(installed.stderr).slice(0, 200)}`);
      return;
    }
    // npm leaves install scripts out; without them a stand-in downloads or refuses.
    const [script, name] = runtime === "bun" ? ["install.js", "bun"] : ["install.cjs", "deno"];
    call("node", [join("node_modules", name, script)], MINUTES);
    mkdirSync(join(folder, "node_modules"), { recursive: true });
    rmSync(join(folder, "node_modules", "terrane"), { recursive: true, force: true });
    symlinkSync(root, join(folder, "node_modules", "terrane"));
    const { status, stdout, stderr } = call(join("node_modules", ".bin", runtime), [...args], 1);
    if (status === null || /not found|Exec format|cannot execute/i.test(stderr)) {
      t.skip(`${runtime} does not start here: ${stderr.slice(0, 200)}`);
      return;
    }
    assert.equal(status, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), expected);
  });
}
