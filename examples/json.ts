/** Parses a JSON document of 5 MB into a region, and compares the tree with JSON.parse. */
import { deepStrictEqual } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { arena, currentRegion, enter } from "terrane/layers";
import { documentMake } from "./document.ts";
import { jsonParse, jsonValue, jsonWalk } from "./json-parser.ts";

const BYTES = 5e6;

/** @param args a file to parse instead of the generated document. */
export function json(args: string[], print: (line: string) => void): void {
  const [file] = args;
  const text = file === undefined ? documentMake(BYTES) : readFileSync(file, "utf8");
  const bytes = new TextEncoder().encode(text);
  print(`document: ${bytes.length} bytes`);
  enter(
    arena,
    (region) => {
      const root = jsonParse(bytes);
      let nodes = 0;
      jsonWalk(root, region, () => {
        nodes += 1;
      });
      const { allocations, bytes: used } = region.stats();
      print(`tree: ${nodes} values in ${allocations} blocks of ${used} bytes`);
      deepStrictEqual(jsonValue(root), JSON.parse(text));
      print("the tree is what JSON.parse returns");
    },
    { label: "json" },
  );
  print(`left after the region: ${currentRegion().stats().bytes} bytes`);
}
