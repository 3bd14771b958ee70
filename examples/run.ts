/** `npm run example NAME`: runs one of the examples. */
import { append } from "./append.ts";
import { binarytree } from "./binarytree.ts";
import { json } from "./json.ts";

const examples: Record<string, (args: string[], print: (line: string) => void) => void> = {
  append,
  json,
  binarytree,
};

const [name = "", ...args] = process.argv.slice(2);
const example = Object.hasOwn(examples, name) ? examples[name] : undefined;
if (example) {
  try {
    example(args, console.log);
  } catch (error) {
    console.error(`${name}: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
} else {
  console.error(`usage: npm run example -- ${Object.keys(examples).join("|")} [arguments]`);
  process.exitCode = 2;
}
