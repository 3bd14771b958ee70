/**
 * Builds what has changed and runs tests. Without arguments: formatting, rules, and every test.
 * Arguments choose test files by a part of their path, and only those run. `--watch` builds and runs
 * again whenever a source changes.
 */
import { spawn, spawnSync } from "node:child_process";
import { rmSync, watch } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { BuildError, build } from "./build.mjs";
import { filesBelow, locked, snapshotMake } from "./outputs.mjs";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

const wanted = process.argv.slice(2).filter((argument) => argument !== "--watch");
const isWatching = process.argv.includes("--watch");
const isWhole = wanted.length === 0 && !isWatching;

/** Node leaves a core free, which is half of a machine with two. */
const CONCURRENCY = Math.max(2, availableParallelism() - 1);

function testFiles(folder) {
  return filesBelow(`${folder}/test`)
    .filter((name) => name.endsWith(".test.js"))
    .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
    .map((name) => `${folder}/test/${name}`);
}

/** Runs on a copy, which stays as it is whatever is built meanwhile. */
async function testsRun(files) {
  const flags = ["--enable-source-maps", "--test", `--test-concurrency=${CONCURRENCY}`];
  const child = spawn(process.execPath, [...flags, ...files], { stdio: "inherit" });
  return new Promise((resolve) => child.on("exit", (code) => resolve(code ?? 1)));
}

/** What has changed is built and copied; undefined where it cannot be, which has been said. */
async function copyMake() {
  try {
    return await locked(async () => {
      await build({ check: true });
      return isWhole && !rulesHold() ? undefined : snapshotMake();
    });
  } catch (error) {
    if (error instanceof BuildError) return undefined;
    throw error;
  }
}

async function once() {
  const folder = await copyMake();
  if (folder === undefined) return 1;
  try {
    const files = testFiles(folder);
    if (files.length > 0) return await testsRun(files);
    console.error(`no test file has ${wanted.join(" or ")} in its path`);
    return 2;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Formatting and the rules of the source tree; what is wrong goes to standard error. */
function rulesHold() {
  const checks = [
    ["node_modules/@biomejs/biome/bin/biome", "check", "--colors=off"],
    ["scripts/check.mjs"],
  ];
  return checks.every(
    (args) => spawnSync(process.execPath, args, { stdio: "inherit" }).status === 0,
  );
}

/** Calls `then` after each change of a source, once for a change that editors write in steps. */
function sourcesWatch(then) {
  let timer;
  for (const folder of ["src", "test"]) {
    watch(folder, { recursive: true }, () => {
      clearTimeout(timer);
      timer = setTimeout(then, 50);
    });
  }
}

/** Runs again and again; what changes during a run is seen after it. */
async function forever() {
  let isChanged = true;
  let wake = () => {};
  sourcesWatch(() => {
    isChanged = true;
    wake();
  });
  for (;;) {
    if (!isChanged)
      await new Promise((resolve) => {
        wake = resolve;
      });
    isChanged = false;
    await once();
    if (!isChanged) console.log("waiting for a change");
  }
}

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    rmSync(`build.${process.pid}`, { recursive: true, force: true });
    process.exit(1);
  });
}

if (isWatching) await forever();
process.exitCode = await once();
