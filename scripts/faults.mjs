/**
 * Assembles src/memory/os/faults-*.S and writes src/memory/os/faults-code.ts. Takes GNU as for each
 * processor, or clang, which make the same code; where neither is, the result is kept anyway.
 * `--print PROCESSOR` (x64 or arm64) prints that processor's code and writes nothing.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

const TRIPLES = { x64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" };

/** Tries each of the commands, and tells what all of them said if none works. */
function runAny(commands) {
  const said = [];
  for (const [command, ...args] of commands) {
    try {
      return execFileSync(command, args, { stdio: ["ignore", "ignore", "pipe"] });
    } catch (error) {
      said.push(error.stderr?.length ? error.stderr : error.message);
    }
  }
  throw new Error(said.join("\n"));
}

function assembled(arch) {
  const triple = TRIPLES[arch];
  const folder = mkdtempSync(join(tmpdir(), "terrane-"));
  const [object, binary] = [join(folder, "faults.o"), join(folder, "faults.bin")];
  const source = `src/memory/os/faults-${arch}.S`;
  const copy = ["-O", "binary", "--only-section=.text", object, binary];
  try {
    runAny([
      [`${triple}-as`, source, "-o", object],
      ["clang", `--target=${triple}`, "-c", "-x", "assembler", source, "-o", object],
    ]);
    runAny([
      [`${triple}-objcopy`, ...copy],
      ["llvm-objcopy", ...copy],
    ]);
    return readFileSync(binary).toString("base64");
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function source(codes) {
  const members = codes.map(([arch, code]) => {
    const lines = code.match(/.{1,88}/g).map((line) => `    "${line}"`);
    return `  ${arch}:\n${lines.join(" +\n")},`;
  });
  return `/** What scripts/faults.mjs makes of faults-*.S: machine code in base64, by processor. */
export const faultsCode: Readonly<Record<string, string>> = {
${members.join("\n")}
};
`;
}

const [, , flag, arch] = process.argv;
if (flag === "--print") console.log(assembled(arch));
else {
  const codes = Object.keys(TRIPLES).map((arch) => [arch, assembled(arch)]);
  writeFileSync("src/memory/os/faults-code.ts", source(codes));
}
