/**
 * Builds what has changed and runs tests. Without arguments: formatting, rules, and every test.
 * Arguments choose test files by a part of their path, and only those run. `--watch` builds and runs
 * again whenever a source changes.
 */
import { execFileSync, spawn } from "node:child_process";
import { rmSync, watch } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "./build.mjs";
import { filesBelow, snapshotMake } from "./outputs.mjs";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

const wanted = process.argv.slice(2).filter((argument) => argument !== "--watch");
const isWatching = process.argv.includes("--watch");

function run(...args) {
  execFileSync(process.execPath, args, { stdio: "inherit" });
}

function testFiles(folder) {
  return filesBelow(`${folder}/test`)
    .filter((name) => name.endsWith(".test.js"))
    .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
    .map((name) => `${folder}/test/${name}`);
}

/** Runs on a copy, which stays as it is whatever is built meanwhile. */
async function testsRun(files) {
  const flags = ["--enable-source-maps", "--test"];
  const child = spawn(process.execPath, [...flags, ...files], { stdio: "inherit" });
  return new Promise((resolve) => child.on("exit", (code) => resolve(code ?? 1)));
}

async function once() {
  await build({ check: true });
  const folder = snapshotMake();
  try {
    const files = testFiles(folder);
    if (files.length > 0) return await testsRun(files);
    console.error(`no test file has ${wanted.join(" or ")} in its path`);
    return 2;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function changed() {
  return new Promise((resolve) => {
    const watchers = ["src", "test"].map((folder) =>
      watch(folder, { recursive: true }, () => {
        for (const watcher of watchers) watcher.close();
        setTimeout(resolve, 50); // editors write a file in several steps
      }),
    );
  });
}

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    rmSync(`build.${process.pid}`, { recursive: true, force: true });
    process.exit(1);
  });
}

if (wanted.length === 0 && !isWatching) {
  run("node_modules/@biomejs/biome/bin/biome", "check", "--colors=off");
  await build({ check: true });
  run("scripts/check.mjs");
}
let status = await once();
while (isWatching) {
  console.log("waiting for a change");
  await changed();
  status = await once().catch(() => 1);
}
process.exit(status);
