/** The traces of bench/traces as plain operations, for tests that must not need src/trace. */
import { readdirSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

const folder = new URL("../../../bench/traces/", import.meta.url);

export function traceNames(): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".trace.gz"))
    .sort();
}

/** The words of each line: letter, then numbers. Threads do not matter here. */
export function* traceOperations(name: string): Generator<[string, ...number[]]> {
  const text = gunzipSync(readFileSync(new URL(name, folder))).toString("latin1");
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#") || line.startsWith("t")) continue;
    const [letter, ...numbers] = line.split(" ");
    yield [letter!, ...numbers.map(Number)];
  }
}
