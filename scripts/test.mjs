/** Builds, checks and runs every test; arguments choose test files by a part of their path. */
import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

function run(...args) {
  execFileSync(process.execPath, args, { stdio: "inherit" });
}

rmSync("build", { recursive: true, force: true });
run("node_modules/@biomejs/biome/bin/biome", "check", "--colors=off");
run("scripts/build.mjs", "--check");
run("scripts/check.mjs");
run("node_modules/typescript/bin/tsc", "-p", "test");
const wanted = process.argv.slice(2);
const files = readdirSync("build/test", { recursive: true })
  .filter((name) => name.endsWith(".test.js"))
  .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
  .map((name) => `build/test/${name}`)
  .sort();
const { status } = spawnSync(process.execPath, ["--test", ...files], { stdio: "inherit" });
process.exit(status ?? 1);
