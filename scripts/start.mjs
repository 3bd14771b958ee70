/**
 * Replays the traces of four real programs on our heap and its rivals, and says what came out; then
 * finds the mistake of a finished .wasm program.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { colourIsWanted, formatTable } from "../build/src/cli/replay-table.js";
import { replayTraces } from "../build/src/cli/replay-traces.js";
import { allocators, readTrace } from "../build/src/trace/index.js";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

const PROGRAMS = ["sqlite", "python", "perl", "git-repack-3-threads"];
const ROUNDS = 3;
/** Below, a fixed cost of some KiB shows more than what an allocator does. */
const LARGE_BYTES = 2 << 20;

/** Geometric mean over the traces of ours / theirs. */
function speedRatio(results, ours, theirs) {
  const speed = (trace, allocator) =>
    results.find((r) => r.trace === trace && r.allocator === allocator).opsPerSecond;
  const traces = [...new Set(results.map((r) => r.trace))];
  const logs = traces.map((trace) => Math.log(speed(trace, ours) / speed(trace, theirs)));
  return Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
}

function worstFragmentation(results, allocator) {
  const large = results.filter((r) => r.allocator === allocator && r.peakLiveBytes > LARGE_BYTES);
  return Math.max(...large.map((r) => r.fragmentation));
}

function speedSentence(results) {
  const ratio = (rival) => speedRatio(results, "terrane", rival).toFixed(2);
  return (
    `Called from JavaScript, terrane serves these programs ${ratio("dlmalloc")} times as fast as ` +
    `dlmalloc (what C and Rust get), ${ratio("tlsf")} times as fast as AssemblyScript's TLSF and ` +
    `${ratio("uint8array")} times as fast as a new Uint8Array for each block.`
  );
}

function memorySentence(results) {
  const worst = (name) => worstFragmentation(results, name).toFixed(2);
  return (
    `At its worst terrane takes ${worst("terrane")} bytes for each byte that a program has live ` +
    `at its peak; dlmalloc takes ${worst("dlmalloc")}, TLSF ${worst("tlsf")} and new Uint8Array ` +
    `${worst("uint8array")}.`
  );
}

/** A C program as it was shipped, its mistake and the line of it. */
function mistakeShow() {
  const args = ["check", "test/wasm/fixtures/mistakes.wasm", "use-after-free"];
  process.stdout.write(
    `\nA finished program is checked without its source:\n$ terrane ${args.join(" ")}\n`,
  );
  const { status } = spawnSync(process.execPath, ["dist/cli.js", ...args], { stdio: "inherit" });
  if (status !== 1) throw new Error(`terrane check returned ${status}, not 1 for a mistake`);
}

const traces = [];
for (const program of PROGRAMS) traces.push(await readTrace(`bench/traces/${program}.trace.gz`));
const usual = allocators.filter((allocator) => !allocator.onRequest);
const results = await replayTraces(traces, usual, { rounds: ROUNDS });
process.stdout.write(formatTable(results, colourIsWanted()));
process.stdout.write(`\n${speedSentence(results)}\n${memorySentence(results)}\n`);
mistakeShow();
