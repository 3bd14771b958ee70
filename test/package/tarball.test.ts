/** What npm would publish: few files, no dependencies, right for every resolver. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { cli, root } from "../support/checkout.js";

const FILES_MOST = 80;
/** Files that only start a thread are shorter than this, and have no source map. */
const FEW = 2000;

const folder = mkdtempSync(join(tmpdir(), "terrane-pack-"));
after(() => rmSync(folder, { recursive: true }));

interface Packed {
  filename: string;
  files: { path: string; mode: number }[];
}

const manifest = JSON.parse(readFileSync(`${root}package.json`, "utf8"));

/** Packs what is built: the script that builds before packing would do so once more. */
const packed = ((): Packed => {
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const args = ["pack", "--json", "--ignore-scripts", "--pack-destination", folder];
  const { status, stdout, stderr } = spawnSync(npm, args, { cwd: root, encoding: "utf8" });
  assert.equal(status, 0, stderr);
  const answer = JSON.parse(stdout);
  return Array.isArray(answer) ? answer[0] : (Object.values(answer)[0] as Packed);
})();

const paths = packed.files.map(({ path }) => path);

test(`the tarball has at most ${FILES_MOST} files`, (t) => {
  t.diagnostic(`${paths.length} files`);
  assert.ok(paths.length <= FILES_MOST, paths.join("\n"));
});

test("documentation, licence and source maps come along, sources and builders' pages do not", () => {
  for (const path of ["README.md", "LICENSE", "docs/index.md", "docs/glossary.md", "dist/cli.js"]) {
    assert.ok(paths.includes(path), path);
  }
  assert.ok(paths.includes("dist/lib/heap.js.map"));
  assert.deepEqual(
    paths.filter((path) => /^(src|test|bench|scripts|build|docs\/internals)\//.test(path)),
    [],
  );
});

test("every script with code of its own has a source map that leads to src/", () => {
  for (const path of paths.filter((each) => each.startsWith("dist/") && each.endsWith(".js"))) {
    const text = readFileSync(root + path, "utf8");
    const isFacade = !/^(?!import |export |\/\/|\s|\})/m.test(text.trim());
    if (isFacade || text.length < FEW) continue;
    const map = JSON.parse(readFileSync(`${root}${path}.map`, "utf8")) as { sources: string[] };
    assert.ok(
      map.sources.some((source) => /(^|\/)src\/\w+\//.test(source)),
      `${path}: ${map.sources.slice(0, 3)}`,
    );
  }
});

test("the package has no dependencies, and koffi only where somebody wants it", () => {
  assert.deepEqual(manifest.dependencies ?? {}, {});
  assert.deepEqual(manifest.optionalDependencies ?? {}, {});
  assert.deepEqual(Object.keys(manifest.peerDependencies), ["koffi"]);
  assert.deepEqual(manifest.peerDependenciesMeta, { koffi: { optional: true } });
});

test("package.json says where the project is, and where old resolvers find it", () => {
  for (const field of ["repository", "homepage", "bugs", "main", "types", "license"]) {
    assert.ok(manifest[field], field);
  }
});

test("npx terrane runs in a checkout", { skip: process.platform === "win32" }, () => {
  assert.equal(statSync(cli).mode & 0o111, 0o111);
  const args = ["exec", "--no", "--", "terrane", "--version"];
  const { stdout, stderr } = spawnSync("npm", args, { cwd: root, encoding: "utf8" });
  assert.equal(stdout.trim(), manifest.version, stderr);
});

test("publint has no complaint", async () => {
  const { messages } = await publint({ pkgDir: root, strict: true });
  assert.deepEqual(
    messages.map((message) => formatMessage(message, manifest, { color: false })),
    [],
  );
});

test("types are found by every way that TypeScript resolves", async () => {
  const tarball = readFileSync(join(folder, packed.filename));
  const result = await checkPackage(createPackageFromTarballData(new Uint8Array(tarball)));
  assert.ok("problems" in result);
  // The package is ESM only: require of it works from Node 22 on, and types say so. Bytes of wasm
  // have no types.
  const problems = result.problems.filter(
    (problem) =>
      problem.kind !== "CJSResolvesToESM" &&
      !("entrypoint" in problem && problem.entrypoint.endsWith(".wasm")),
  );
  assert.deepEqual(problems, []);
});
