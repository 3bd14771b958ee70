/**
 * Reporter of `npm run soak`: a line for each test file that has ended, and the failed tests, with
 * their errors, at the end. What a file wrote is shown only if it failed outside of its tests.
 */

/** Characters that are shown of the output of a file. */
const OUTPUT_MOST = 2000;

/** `build.123/test/core/lockstep.test.js` as `core/lockstep`; undefined for names of tests. */
function fileName(path) {
  return /test[\\/](.+)\.test\.[jt]s$/.exec(path ?? "")?.[1]?.replaceAll("\\", "/");
}

function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

function errorText(error) {
  const text = String(error?.cause?.stack ?? error?.cause ?? error?.stack ?? error);
  return text
    .split("\n")
    .filter((line) => !line.includes("node:internal"))
    .map((line) => `    ${line}`)
    .join("\n");
}

class Failures {
  #texts = [];
  #outputs = new Map();

  output({ file, message }) {
    const before = this.#outputs.get(file) ?? "";
    this.#outputs.set(file, (before + message).slice(-OUTPUT_MOST));
  }

  add({ name, file, details }) {
    const { error } = details;
    if (error?.failureType === "subtestsFailed") return;
    const path = fileName(name);
    const title = path === undefined ? `${fileName(file) ?? file}: ${name}` : `${path}: the file`;
    const output = path === undefined ? "" : (this.#outputs.get(file) ?? "");
    this.#texts.push(`  FAILED ${title}\n${errorText(error)}\n${output}`);
  }

  get texts() {
    return this.#texts;
  }
}

export default async function* soakReporter(source) {
  const failures = new Failures();
  for await (const { type, data } of source) {
    if (type === "test:stderr" || type === "test:stdout") failures.output(data);
    if (type === "test:fail") failures.add(data);
    if (type !== "test:complete") continue;
    const path = fileName(data.name);
    if (path !== undefined) yield `  ${path}: ${seconds(data.details.duration_ms)}\n`;
  }
  yield failures.texts.join("\n");
}
