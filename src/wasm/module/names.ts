/** The name section: the toolchain's names of functions. If it is damaged, functions have none. */
import { ByteReader, ByteWriter } from "./bytes.ts";
import { ModuleError } from "./errors.ts";
import { KIND, type Module, SECTION, sectionFind } from "./module.ts";

const MODULE_NAME = 0;
const FUNCTION_NAMES = 1;
/** Names of locals and labels are left out: added locals and code would make them wrong. */
const DROPPED = [2, 3];

/** Function names by index; empty when the module is stripped or the section is damaged. */
export function functionNames(module: Module): Map<number, string> {
  const names = new Map<number, string>();
  eachSubsection(module, (id, reader) => {
    if (id !== FUNCTION_NAMES) return;
    for (let count = reader.u32(); count > 0; count--) names.set(reader.u32(), reader.name());
  });
  return names;
}

/** Names of exports, and those of the name section, which are better. */
export function knownNames(module: Module): Map<number, string> {
  const names = new Map<number, string>();
  for (const { kind, index, name } of module.exports) {
    if (kind === KIND.function) names.set(index, name);
  }
  for (const [index, name] of functionNames(module)) names.set(index, name);
  return names;
}

function eachSubsection(module: Module, visit: (id: number, reader: ByteReader) => void): void {
  const section = sectionFind(module, SECTION.custom, "name");
  if (!section) return;
  const reader = new ByteReader(module.bytes, section.start, section.end, "name section");
  try {
    while (!reader.done) visit(reader.byte(), reader.part(reader.u32(), "name subsection"));
  } catch (error) {
    if (!(error instanceof ModuleError)) throw error;
  }
}

/** A new name section: these names of functions, a name of the module, and what else there was. */
export function namesWrite(
  module: Module,
  names: ReadonlyMap<number, string>,
  moduleName: string | undefined,
): ByteWriter {
  const out = new ByteWriter();
  out.name("name");
  if (moduleName !== undefined) subsectionWrite(out, MODULE_NAME, (part) => part.name(moduleName));
  subsectionWrite(out, FUNCTION_NAMES, (part) => {
    part.u32(names.size);
    for (const [index, name] of [...names].sort((a, b) => a[0] - b[0])) {
      part.u32(index);
      part.name(name);
    }
  });
  eachSubsection(module, (id, reader) => {
    if (id === FUNCTION_NAMES || DROPPED.includes(id)) return;
    if (id === MODULE_NAME && moduleName !== undefined) return;
    subsectionWrite(out, id, (part) => part.copy(reader.bytes, reader.at, reader.end));
  });
  return out;
}

function subsectionWrite(out: ByteWriter, id: number, write: (part: ByteWriter) => void): void {
  const part = new ByteWriter();
  write(part);
  out.byte(id);
  out.sized(part);
}
