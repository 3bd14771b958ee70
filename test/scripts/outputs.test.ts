/** The build's outputs: written once, whole, and never under the feet of a test that runs. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { root } from "../support/checkout.js";

interface Outputs {
  fileWrite(path: string, bytes: string): void;
  folderSync(from: string, to: string, keep?: (name: string) => boolean): void;
  step(name: string, reads: string[], run: () => void): Promise<void>;
}

const url = pathToFileURL(`${root}scripts/outputs.mjs`).href;
const { fileWrite, folderSync } = (await import(url)) as Outputs;

function folderMake(t: { after(fn: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), "terrane-outputs-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Runs a program that has `outputs`, in a folder. */
function program(folder: string, source: string): string {
  const text = `const outputs = await import(${JSON.stringify(url)}); ${source}`;
  const args = ["--input-type=module", "-e", text];
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
  assert.equal(stderr, "");
  return stdout;
}

test("a file with the same bytes is not written again, and no other file is left", (t) => {
  const folder = folderMake(t);
  const path = join(folder, "a/b.txt");
  fileWrite(path, "one");
  utimesSync(path, 1, 1);
  fileWrite(path, "one");
  assert.equal(statSync(path).mtimeMs, 1000);
  fileWrite(path, "two");
  assert.equal(readFileSync(path, "utf8"), "two");
  assert.deepEqual(readdirSync(join(folder, "a")), ["b.txt"]);
});

test("a folder becomes what another is, but for what somebody else makes in it", (t) => {
  const folder = folderMake(t);
  const [from, to] = [join(folder, "from"), join(folder, "to")];
  fileWrite(join(from, "same.js"), "same");
  fileWrite(join(from, "new/file.js"), "new");
  fileWrite(join(to, "gone.js"), "gone");
  fileWrite(join(to, "made.wasm"), "made");
  folderSync(from, to, (name) => name.endsWith(".wasm"));
  assert.deepEqual(readdirSync(to, { recursive: true }).sort(), [
    "made.wasm",
    "new",
    join("new", "file.js"),
    "same.js",
  ]);
});

test("a step runs when what it reads has changed, and again when it was interrupted", (t) => {
  const folder = folderMake(t);
  writeFileSync(join(folder, "source"), "1");
  const run = (body: string) =>
    program(
      folder,
      `await outputs.step("s", ["source"], () => { ${body} }).catch(() => console.log("failed"));`,
    );
  assert.equal(run('console.log("ran")'), "ran\n");
  assert.equal(run('console.log("ran")'), "");
  writeFileSync(join(folder, "source"), "2");
  assert.equal(run('throw new Error("interrupted")'), "failed\n");
  assert.equal(run('console.log("ran")'), "ran\n");
});

test("a build that comes meanwhile leaves the copy that tests run on as it is", (t) => {
  const folder = folderMake(t);
  for (const name of ["build/test/a.js", "build/package.json", "dist/cli.js"]) {
    fileWrite(join(folder, name), "old");
  }
  const copy = program(
    folder,
    `const copy = outputs.snapshotMake();
    for (const name of ["build/test/a.js", "dist/cli.js"]) outputs.fileWrite(name, "new");
    console.log(copy);`,
  ).trim();
  assert.equal(readFileSync(join(folder, copy, "test/a.js"), "utf8"), "old");
  assert.equal(readFileSync(join(folder, copy, "dist/cli.js"), "utf8"), "old");
  // The process that made it has ended, so that the next one removes it.
  program(folder, "outputs.snapshotMake();");
  assert.ok(!readdirSync(folder).includes(copy));
});

test("two builds of one checkout wait for each other, and a dead one holds nobody up", async (t) => {
  const folder = folderMake(t);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "build.lock"), "999999999");
  const source = `const outputs = await import(${JSON.stringify(url)});
    const { appendFileSync } = await import("node:fs");
    await outputs.locked(async () => {
      appendFileSync("log", "[");
      await new Promise((resolve) => setTimeout(resolve, 100));
      appendFileSync("log", "]");
    });`;
  const ends = [1, 2, 3].map(() => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", source], { cwd: folder });
    return new Promise((resolve) => child.on("exit", resolve));
  });
  assert.deepEqual(await Promise.all(ends), [0, 0, 0]);
  assert.equal(readFileSync(join(folder, "log"), "utf8"), "[][][]");
});
