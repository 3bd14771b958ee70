/**
 * The random tests in full: new seeds over and over for --minutes N (10), in builds that stand.
 * Ends at the first failure with the seed that makes it happen again.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const { values } = parseArgs({ options: { minutes: { type: "string", default: "10" } } });
const minutes = Number(values.minutes);
if (!(minutes > 0)) {
  console.error(`soak: --minutes must be a positive number, not ${values.minutes}`);
  process.exit(2);
}

execFileSync(process.execPath, ["scripts/build.mjs", "--check"], { stdio: "inherit" });
execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "test"]);
const tests = [
  "core/random",
  "core/lockstep",
  "core/interleavings",
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
  "wasm/definedness/defined-numbers",
  "wasm/check/leaks",
  "wasm/override/override-random",
  "wasm/override/override-real",
  "wasm/override/override-shared",
  "wasm/check/random",
  "wasm/module/reader",
  "wasm/check/real-programs",
  "wasm/symbols/symbols",
  "wasm/definedness/uninit",
];
const files = tests.map((name) => `build/test/${name}.test.js`);
const end = Date.now() + minutes * 60000;
for (let run = 1; run === 1 || Date.now() < end; run++) {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const env = {
    ...process.env,
    TERRANE_SEED: String(seed),
    TERRANE_OPERATIONS: "20000",
    TERRANE_CORRECT_OPERATIONS: "10000000",
    TERRANE_JOB_SIZE: "40",
    TERRANE_PREEMPTIONS: "2",
    TERRANE_ATTACHES: "3000",
  };
  const { status, stdout } = spawnSync(process.execPath, ["--test", ...files], { env });
  console.log(`run ${run}, TERRANE_SEED=${seed}: ${status === 0 ? "passed" : "FAILED"}`);
  if (status === 0) continue;
  console.log(stdout.toString());
  process.exit(1);
}
