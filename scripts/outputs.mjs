/**
 * What the build writes is written once and then only replaced: a file is made beside its place and
 * renamed into it, and only if its bytes have changed. So a reader never meets half a file, and what
 * is current keeps its time of change.
 */
import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";

/** All files below a folder, as paths below it, in a fixed order. */
export function filesBelow(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(folder.length + 1))
    .map((path) => path.replaceAll("\\", "/"))
    .sort();
}

/** One hash over the names and the bytes of files and of everything below folders. */
export function hashOf(paths) {
  const hash = createHash("sha256");
  for (const path of paths) {
    const isFolder = statSync(path).isDirectory();
    const files = isFolder ? filesBelow(path).map((name) => join(path, name)) : [path];
    for (const file of files) hash.update(`${file}\0`).update(readFileSync(file)).update("\0");
  }
  return hash.digest("hex").slice(0, 20);
}

export function fileWrite(path, bytes) {
  const made = Buffer.from(bytes);
  if (existsSync(path) && readFileSync(path).equals(made)) return;
  mkdirSync(dirname(path), { recursive: true });
  const beside = `${path}.${process.pid}.tmp`;
  writeFileSync(beside, made);
  renameSync(beside, path);
}

/**
 * Makes `to` what `from` is. Files of the same time and size are taken for the same, which spares
 * reading 2 000 of them. `keep` tells of files in `to` that somebody else makes.
 */
export function folderSync(from, to, keep = () => false) {
  const wanted = new Set(filesBelow(from));
  for (const name of wanted) {
    const [source, target] = [join(from, name), join(to, name)];
    const { mtimeMs, size, atime, mtime, mode } = statSync(source);
    const there = existsSync(target) && statSync(target);
    if (there && there.mtimeMs === mtimeMs && there.size === size) continue;
    fileWrite(target, readFileSync(source));
    chmodSync(target, mode);
    utimesSync(target, atime, mtime);
  }
  for (const name of filesBelow(to)) {
    if (!wanted.has(name) && !keep(name)) rmSync(join(to, name));
  }
}

/**
 * A step of the build: runs when what it reads has another hash than the last time. The hash stands
 * in build/steps, and is written last, so that a step that was interrupted runs again.
 */
export async function step(name, reads, run) {
  const stamp = `build/steps/${name}`;
  const hash = hashOf(reads);
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === hash) return;
  rmSync(stamp, { force: true });
  await run(hash);
  fileWrite(stamp, hash);
}

/**
 * A copy of what tests run, made of links to the same bytes: a build that comes meanwhile replaces
 * files and does not write into them, so the copy stays as it is. It lies beside build/, at the same
 * depth, so that source maps and paths to the checkout hold.
 */
export function snapshotMake() {
  snapshotsSweep();
  const folder = `build.${process.pid}`;
  for (const part of [
    "build/src",
    "build/test",
    "build/bench",
    "build/examples",
    "build/check",
    "build/wasm",
  ]) {
    for (const name of filesBelow(part)) linkInto(`${folder}${part.slice(5)}`, part, name);
  }
  for (const name of filesBelow("dist")) linkInto(`${folder}/dist`, "dist", name);
  linkInto(folder, "build", "package.json");
  return folder;
}

function linkInto(folder, from, name) {
  const target = join(folder, name);
  mkdirSync(dirname(target), { recursive: true });
  try {
    linkSync(join(from, name), target);
  } catch {
    cpSync(join(from, name), target); // another file system, or one without links
  }
}

/**
 * Runs `work` while no other build of this checkout does: two that write one folder at once would
 * read each other's halves. The lock names its process, so one that died holds nobody up.
 */
export async function locked(work) {
  const lock = "build.lock";
  let isTold = false;
  while (!lockTake(lock)) {
    if (!isTold) console.error("another build of this checkout runs: waiting for it");
    isTold = true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}

function lockTake(lock) {
  try {
    writeFileSync(lock, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
  }
  const pid = Number(existsSync(lock) && readFileSync(lock, "utf8"));
  if (pid && !isAlive(pid)) rmSync(lock, { force: true });
  return false;
}

/** Copies whose makers are gone without having removed them. */
function snapshotsSweep() {
  for (const name of readdirSync(".")) {
    const pid = Number(/^build\.(\d+)$/.exec(name)?.[1]);
    if (pid && !isAlive(pid)) rmSync(name, { recursive: true, force: true });
  }
}

function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === "EPERM";
  }
}
