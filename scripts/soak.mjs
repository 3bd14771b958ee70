/**
 * The random tests in full: new seeds over and over for --minutes N (10), on a snapshot of a build.
 * Ends at the first failure, with the failed tests and the variables that make them fail again.
 */
import { spawn } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "./build.mjs";
import { snapshotMake } from "./outputs.mjs";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

const tests = [
  "core/random",
  "core/lockstep",
  "core/interleavings",
  "debug/allocator/lives",
  "debug/conformance",
  "heap/conformance",
  "layers/conformance",
  "layers/regions/region-async",
  "managed/collector",
  "managed/containers",
  "sizeclass/conformance",
  "sizeclass/core/interleavings",
  "sizeclass/core/lockstep",
  "threads/late",
  "threads/stress",
  "wasm/shadow/blocks",
  "wasm/definedness/numbers",
  "wasm/check/leaks",
  "wasm/override/random",
  "wasm/override/real-programs",
  "wasm/override/shared",
  "wasm/check/random",
  "wasm/module/reader",
  "wasm/check/real-programs",
  "wasm/symbols/symbols",
  "wasm/definedness/uninit",
];

const amounts = {
  TERRANE_SCHEDULES: "20000",
  TERRANE_OPERATIONS: "20000",
  TERRANE_CORRECT_OPERATIONS: "10000000",
  TERRANE_JOB_SIZE: "40",
  TERRANE_PREEMPTIONS: "2",
  TERRANE_ATTACHES: "3000",
  TERRANE_LIVES: "100000",
};

function minutesOf(args) {
  const { values } = parseArgs({ args, options: { minutes: { type: "string", default: "10" } } });
  const minutes = Number(values.minutes);
  if (minutes > 0) return minutes;
  console.error(`soak: --minutes must be a positive number, not ${values.minutes}`);
  process.exit(2);
}

function testFiles(folder) {
  return tests.map((name) => {
    const file = `${folder}/test/${name}.test.js`;
    if (!existsSync(file)) throw new Error(`soak: there is no test/${name}.test.ts`);
    return file;
  });
}

let child;

/** Runs all tests once; the exit code of node. */
function runOnce(files, variables) {
  const reporter = [
    "--test-reporter=./scripts/soak-reporter.mjs",
    "--test-reporter-destination=stdout",
  ];
  const args = ["--enable-source-maps", "--test", ...reporter, ...files];
  const env = { ...process.env, ...variables };
  child = spawn(process.execPath, args, { env, stdio: ["ignore", "inherit", "inherit"] });
  return new Promise((resolve) => child.on("exit", (code) => resolve(code ?? 1)));
}

/** Runs with new seeds until the time is over; whether none has failed. */
async function soak(files, minutes) {
  const begin = Date.now();
  for (let run = 1; run === 1 || Date.now() < begin + minutes * 60000; run++) {
    const seed = String(Math.floor(Math.random() * 2 ** 32));
    const variables = { TERRANE_SEED: seed, ...amounts };
    const passed = ((Date.now() - begin) / 60000).toFixed(1);
    console.log(`run ${run}, ${passed} of ${minutes} minutes, TERRANE_SEED=${seed}`);
    if ((await runOnce(files, variables)) === 0) continue;
    const assigned = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
    console.error(`soak: run ${run} failed; again: ${assigned.join(" ")} npm test PATH`);
    return false;
  }
  console.log("soak: no failure");
  return true;
}

const minutes = minutesOf(process.argv.slice(2));
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    child?.kill(); // node ends the tests that it runs
    rmSync(`build.${process.pid}`, { recursive: true, force: true });
    process.exit(1);
  });
}
await build({ check: true });
const folder = snapshotMake();
try {
  process.exitCode = (await soak(testFiles(folder), minutes)) ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
