/**
 * Puts together what is loaded together: all modules of a room that the library's entry points
 * reach become one file, dist/rooms/ROOM.js, and the file of each module only leads there. Node
 * takes 0.3 to 0.5 ms to load a file, so that many small ones cost more than the code in them. What
 * only the command line loads stays as it is.
 */
import { readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { rollup } from "rollup";

const dist = resolve("dist");

/** The entry points of the library, as paths below dist. */
function entryPoints() {
  const { exports } = JSON.parse(readFileSync("package.json", "utf8"));
  return Object.values(exports)
    .filter((path) => path.endsWith(".js"))
    .map((path) => relative("dist", path));
}

/** Those that serve without the heap's core, and so must not load it. */
const heapless = ["memory/index.js", "sizeclass/index.js", "wasm/index.js"];

/** Circles among them: whoever bundles the package would be warned of each. */
function onwarn(warning) {
  throw new Error(warning.message);
}

/** Adds a module and all that it imports, directly or not, as paths below dist. */
function reach(path, reached) {
  if (reached.has(path)) return;
  reached.add(path);
  const text = readFileSync(`${dist}/${path}`, "utf8");
  const imports = text.matchAll(/^(?:(?:import|export|\}).* from|import) "(\.[^"]+)"/gm);
  for (const [, target] of imports) reach(join(dirname(path), target), reached);
}

/** What the top and the memory have is `base` where it is of use without a heap. */
function roomOf(path, base) {
  if (path === "hardening.js" || /^embed\/core-.*hard/.test(path)) return "hardening";
  if (path.startsWith("embed/sizeclass")) return "sizeclass";
  const [room] = path.split("/");
  if (path.includes("/") && !["memory", "core", "embed"].includes(room)) return room;
  return base.has(path) ? "base" : "heap";
}

/** Rollup gives a chunk the name of an entry without exports: an empty one is there for each. */
const ROOM = "\0room:";
const namesakes = {
  name: "namesakes of rooms",
  resolveId: (id) => (id.startsWith(ROOM) ? id : null),
  load: (id) => (id.startsWith(ROOM) ? { code: "export {};", moduleSideEffects: true } : null),
};

export async function roomsBuild() {
  const [reached, base] = [new Set(), new Set()];
  for (const path of entryPoints()) reach(path, reached);
  for (const path of heapless) reach(path, base);
  const paths = [...reached];
  const rooms = new Set(paths.map((path) => roomOf(path, base)));
  const bundle = await rollup({
    input: {
      ...Object.fromEntries([...rooms].map((room) => [`rooms/${room}`, ROOM + room])),
      ...Object.fromEntries(paths.map((path) => [path.slice(0, -3), `${dist}/${path}`])),
    },
    plugins: [namesakes],
    onwarn,
  });
  await bundle.write({
    dir: dist,
    format: "es",
    entryFileNames: "[name].js",
    manualChunks: (id) =>
      id.startsWith(ROOM) ? id.slice(ROOM.length) : roomOf(relative(dist, id), base),
    minifyInternalExports: false,
    hoistTransitiveImports: false,
  });
}
