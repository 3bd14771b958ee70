/**
 * Assembles src/memory/os-faults.S and writes src/memory/os-faults-code.ts. Needs GNU as and objcopy
 * on x86-64, which is why the result is kept. `--print` prints the code and writes nothing.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

function assembled() {
  const folder = mkdtempSync(join(tmpdir(), "terrane-"));
  const [object, binary] = [join(folder, "faults.o"), join(folder, "faults.bin")];
  execFileSync("as", ["--64", "src/memory/os-faults.S", "-o", object]);
  execFileSync("objcopy", ["-O", "binary", "--only-section=.text", object, binary]);
  const code = readFileSync(binary).toString("base64");
  rmSync(folder, { recursive: true });
  return code;
}

function source(code) {
  const lines = code.match(/.{1,88}/g).map((line) => `  "${line}"`);
  return `/** What scripts/faults.mjs makes of os-faults.S: machine code in base64. */
export const faultsCode =
${lines.join(" +\n")};
`;
}

const code = assembled();
if (process.argv.includes("--print")) console.log(code);
else writeFileSync("src/memory/os-faults-code.ts", source(code));
