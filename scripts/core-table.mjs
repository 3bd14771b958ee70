/** The builds of the cores: what stands in for what, and what only tests use. */

/**
 * Each build names the files that stand in for others, as paths below src without ending: first for
 * AssemblyScript, then for JavaScript. For one thread, and for threads that share a memory; plain
 * and hardened.
 */
const T = "core/target/";
const glue = { [`${T}glue`]: `${T}glue.as`, [`${T}glue-hard`]: `${T}glue-hard.as` };
const plain = { [`${T}hardened-on`]: `${T}hardened-off` };
const single = { [`${T}atomics`]: `${T}atomics-single` };
const shared = { "core/slices/slices": "core/slices/slices-shared" };
const atomicsWasm = { [`${T}atomics`]: `${T}atomics.as` };
/** The size-class allocator in linear memory, and beyond 2^32, which only JavaScript has. */
const space = { "sizeclass/core/space": "sizeclass/core/space.as" };
const wide = {
  [`${T}glue`]: "sizeclass/core/glue-wide",
  "sizeclass/core/space": "sizeclass/core/space-wide",
};
/** Under a scheduler: every atomic access, or each access at all, is a step. */
const stepped = { [`${T}atomics`]: `${T}atomics-step`, [`${T}glue`]: `${T}glue-step` };
const steppedEach = { [`${T}atomics`]: `${T}atomics-step`, [`${T}glue`]: `${T}glue-each-step` };

// The memory that is imported may have any size and any maximum.
const threads = ["--enable", "threads", "--sharedMemory", "--maximumMemory", "65536"];

const plainSingle = { wasm: { ...glue, ...single, ...plain }, js: { ...single, ...plain } };
const plainShared = {
  wasm: { ...glue, ...shared, ...atomicsWasm, ...plain },
  js: { ...shared, ...plain },
  options: threads,
};
const hardSingle = { wasm: { ...glue, ...single }, js: single };
const hardShared = { wasm: { ...glue, ...shared, ...atomicsWasm }, js: shared, options: threads };

/** What is shipped. */
export const cores = [
  { name: "core", entry: "core/index", ...plainSingle },
  { name: "core-shared", entry: "core/index-shared", ...plainShared },
  { name: "core-hard", entry: "core/index-hard", ...hardSingle },
  { name: "core-shared-hard", entry: "core/index-shared-hard", ...hardShared },
  {
    name: "sizeclass",
    entry: "sizeclass/core/exports",
    wasm: { ...glue, ...single, ...space },
    js: single,
  },
  {
    name: "sizeclass-shared",
    entry: "sizeclass/core/exports",
    wasm: { ...glue, ...atomicsWasm, ...space },
    js: {},
    options: threads,
  },
  { name: "sizeclass-wide", entry: "sizeclass/core/exports", js: { ...single, ...wide } },
];

/** What only tests use: the cores with walks that check them, and under a scheduler. */
export const checkedCores = [
  { name: "core-check", entry: "core/index-check", ...plainSingle },
  { name: "core-shared-check", entry: "core/index-shared-check", ...plainShared },
  { name: "core-hard-check", entry: "core/index-hard-check", ...hardSingle },
  { name: "core-shared-hard-check", entry: "core/index-shared-hard-check", ...hardShared },
  {
    name: "core-stepped",
    entry: "core/index-shared-check",
    js: { ...shared, ...stepped, ...plain },
  },
  {
    name: "core-stepped-hard",
    entry: "core/index-shared-hard-check",
    js: { ...shared, ...stepped },
  },
  // Its structures stand under locks: plain accesses are steps too, where they race.
  { name: "sizeclass-stepped", entry: "sizeclass/core/exports", js: steppedEach },
];
