/** What the package offers to import, and which module of src/ each is. */

/** Entry points whose module is not MODULE/index. */
const elsewhere = {
  index: "heap/index",
  hardening: "heap/hardening",
  javascript: "heap/javascript",
  shared: "heap/shared",
  "debug/node-reporter": "debug/testing/node-reporter",
  "debug/vitest-reporter": "debug/testing/vitest-reporter",
};

/** The entry points of the library: path in the package, name of the file, module of src. */
export function entryPoints(exports) {
  return Object.keys(exports)
    .filter((path) => !/\.(wasm|json)$/.test(path))
    .map((path) => {
      const name = path === "." ? "index" : path.slice(2);
      return { path, name, module: elsewhere[name] ?? `${name}/index` };
    });
}
