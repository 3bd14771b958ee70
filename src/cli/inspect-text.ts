/** The report of `terrane inspect` for people. */
import type { Inspection } from "../wasm/inspect/inspect.ts";
import type { Leftover } from "../wasm/proof/leftovers.ts";
import type { Evidence } from "../wasm/proof/nominate.ts";
import type { Proof, TriedFunction } from "../wasm/proof/prove.ts";
import { printable, printableName } from "../wasm/symbols/printable.ts";

const LABEL_WIDTH = 11;
/** The most leftovers that are listed; the JSON report has all. */
const LEFTOVERS_MOST = 10;

/** How a function was found, behind "by". */
const EVIDENCE: Readonly<Record<Evidence, string>> = {
  given: "option",
  name: "name",
  export: "export",
  import: "import",
  shape: "the shape of its code",
  growth: "its distance from memory.grow",
  proof: "what it does",
  state: "the state that it touches",
  caller: "the calls between it and the allocator",
};

/** The report as lines of text. */
export function inspectionText(
  path: string,
  inspection: Inspection,
  next: string | undefined,
): string {
  const { toolchain, features, functions, proof } = inspection;
  const { imported, own, named } = functions;
  const lines = [
    `${path}: ${inspection.bytes} bytes`,
    row("toolchain", toolchain.join(", ") || "unknown: the module has no producers section"),
    row("features", features.join(", ") || "none beyond WebAssembly 1.0"),
    row("sections", inspection.sections.map(({ name, bytes }) => `${name} ${bytes}`).join(", ")),
    row("functions", `${imported} imported, ${own} own, ${named} with names`),
    row("memory", memoryText(inspection.memory)),
    row("allocator", allocatorText(proof)),
    ...functionRows(proof.functions),
    ...(proof.outcome === "proven" ? [row("state", stateText(proof)), ...leftoverRows(proof)] : []),
    row("verdict", `${inspection.verdict}: ${inspection.because}`),
    ...(next === undefined ? [] : [row("next", next)]),
  ];
  return `${lines.map(printable).join("\n")}\n`;
}

function row(label: string, text: string): string {
  return `  ${label.padEnd(LABEL_WIDTH)}${text}`;
}

function memoryText(memory: Inspection["memory"]): string {
  if (!memory) return "none";
  const most = memory.most === undefined ? "no maximum" : `at most ${sizeText(memory.most)}`;
  return `${sizeText(memory.first)} at the start, ${most}${memory.imported ? ", imported" : ""}`;
}

function sizeText(bytes: number): string {
  return bytes % 2 ** 20 === 0 ? `${bytes / 2 ** 20} MiB` : `${bytes / 1024} KiB`;
}

function allocatorText({ reason, calls, after }: Proof): string {
  const first = after === undefined ? "" : `, after function ${after} has run`;
  return `${reason}${first}${calls > 0 ? ` (${calls} calls)` : ""}`;
}

function functionRows(functions: readonly TriedFunction[]): string[] {
  const width = Math.max(0, ...functions.map((each) => each.role.name.length));
  return functions.map(({ index, name, role, evidence, failure, base }) => {
    const known = name === `function ${index}` ? "" : `${printableName(name)}, `;
    const how = `function ${index} (${known}by ${EVIDENCE[evidence]})`;
    const proof = failure ? `not proven: ${failure}` : base ? "proven" : "proven, a wrapper";
    return `    ${role.name.padEnd(width)}  ${how}: ${proof}`;
  });
}

function stateText({ state, stateGlobals }: Proof): string {
  const ranges = state.map(({ from, to }) => `bytes ${from} to ${to - 1}`);
  const globals = stateGlobals.map((index) => `global ${index}`);
  return [...ranges, ...globals].join(", ") || "not found";
}

function leftoverText({ accesses, callsHelper }: Leftover): string {
  if (accesses > 0) return `uses ${accesses} of its variables`;
  return callsHelper ? "calls its parts" : "looks into the headers of its blocks";
}

function leftoverRows({ leftovers }: Proof): string[] {
  if (leftovers.length === 0) return [row("leftovers", "none")];
  const shown = leftovers.slice(0, LEFTOVERS_MOST).map((each) => {
    const known = each.name === `function ${each.index}` ? "" : ` (${each.name})`;
    const when = each.initialiser ? ", before the program starts" : "";
    return `    function ${each.index}${known}: ${leftoverText(each)}${when}`;
  });
  const rest = leftovers.length - shown.length;
  const more = rest > 0 ? [`    and ${rest} more; --json prints all`] : [];
  return [row("leftovers", `${leftovers.length}`), ...shown, ...more];
}
