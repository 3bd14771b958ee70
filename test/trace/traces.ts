/** What the tests of replays share. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import type { Trace } from "#src/trace/index.js";
import { TraceParser } from "#src/trace/index.js";

export function parse(text: string, file = "x.trace"): Trace {
  const parser = new TraceParser(file);
  parser.feed(Buffer.from(text));
  return parser.finish();
}

/** A folder that is gone after the tests of the file; returns a function that puts a file there. */
export function filesCreate(): (name: string, contents: string | Uint8Array) => string {
  const folder = mkdtempSync(join(tmpdir(), "terrane-trace-"));
  after(() => rmSync(folder, { recursive: true }));
  return (name, contents) => {
    const path = join(folder, name);
    writeFileSync(path, contents);
    return path;
  };
}
