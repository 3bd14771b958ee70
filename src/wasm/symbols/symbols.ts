/** From offsets in a module to functions, files and lines. */

import { type Module, SECTION, sectionFind } from "../module/module.ts";
import { knownNames } from "../module/names.ts";
import { DwarfError, debugSections } from "./dwarf.ts";
import { DebugInfo, type Inlined } from "./dwarf-info.ts";
import { LineTables, type SourcePosition } from "./dwarf-lines.ts";
import type { Frame } from "./frame.ts";
import { printableName } from "./printable.ts";
import { SourceMap } from "./sourcemap.ts";

/**
 * Resolves offsets of a module to functions, files and lines. Debug information is read when it is
 * first needed; if it is damaged, only the names of functions are known.
 */
export class Symbols {
  readonly #module: Module;
  readonly #names: ReadonlyMap<number, string>;
  readonly #codeStart: number;
  readonly #sourceMap: SourceMap | undefined;
  #lines: LineTables | undefined;
  #info: DebugInfo | undefined;
  #read = false;

  /**
   * @param module the module that was compiled, not the checked one.
   * @param sourceMap the text of its source map, if it has one.
   * @throws SyntaxError if that text is not a source map of version 3.
   */
  constructor(module: Module, sourceMap?: string) {
    this.#module = module;
    this.#names = knownNames(module);
    this.#codeStart = sectionFind(module, SECTION.code)?.start ?? 0;
    this.#sourceMap = sourceMap === undefined ? undefined : new SourceMap(sourceMap);
  }

  /** The readable name of a function; `function 12` if it has none. */
  name(index: number): string {
    const name = this.#names.get(index);
    return name === undefined ? `function ${index}` : printableName(rustDemangle(name));
  }

  /**
   * The calls at an offset: first those that the compiler has inlined, then the function itself.
   *
   * @param index of the function.
   * @param offset in the file.
   */
  frames(index: number, offset: number): Frame[] {
    this.#debugRead();
    const address = offset - this.#codeStart;
    const position = this.#lines?.find(address) ?? this.#sourceMap?.find(offset);
    const scope = undamaged(() => this.#info?.find(address));
    const outer = this.#outerName(index, scope?.name);
    if (!scope) return [frameOf(outer, position)];
    const frames: Frame[] = [];
    let at = position;
    for (const inlined of scope.inlined) {
      frames.push(frameOf(inlined.name ?? "inlined function", at));
      at = this.#callSite(inlined);
    }
    frames.push(frameOf(outer, at));
    return frames;
  }

  /** The name section has namespaces and parameters; DWARF's names are better for plain names. */
  #outerName(index: number, debugName: string | undefined): string {
    const name = this.name(index);
    return debugName === undefined || /[(:]/.test(name) ? name : debugName;
  }

  #callSite(inlined: Inlined): SourcePosition | undefined {
    const file = this.#lines?.files(inlined.lines)[inlined.callFile];
    if (file === undefined) return undefined;
    return { file, line: inlined.callLine, column: inlined.callColumn };
  }

  /** If debug information is damaged, only the names of functions are used. */
  #debugRead(): void {
    if (this.#read) return;
    this.#read = true;
    const sections = debugSections(this.#module);
    const code = sectionFind(this.#module, SECTION.code);
    const codeBytes = code ? code.end - code.start : 0;
    this.#lines = undamaged(() => new LineTables(sections, codeBytes));
    this.#info = undamaged(() => new DebugInfo(sections));
  }
}

function undamaged<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof DwarfError || error instanceof RangeError) return undefined;
    throw error;
  }
}

function frameOf(name: string, position: SourcePosition | undefined): Frame {
  const frame = { function: printableName(name), ...position };
  return position === undefined ? frame : { ...frame, file: printableName(position.file) };
}

const RUST_LEGACY = /^_ZN(.*)17h[0-9a-f]{16}E/;
const RUST_SIGNS: Readonly<Record<string, string>> = {
  SP: "@",
  BP: "*",
  RF: "&",
  LT: "<",
  GT: ">",
  LP: "(",
  RP: ")",
  C: ",",
};

/** Makes Rust's legacy symbols readable; other names stay as they are. */
export function rustDemangle(name: string): string {
  let rest = RUST_LEGACY.exec(name)?.[1];
  if (rest === undefined) return name;
  const parts: string[] = [];
  while (rest !== "") {
    const length = /^\d+/.exec(rest)?.[0];
    if (length === undefined) return name;
    const end = length.length + Number(length);
    parts.push(rest.slice(length.length, end));
    rest = rest.slice(end);
  }
  const plain = (part: string) =>
    part
      .replace(/^_\$/, "$")
      .replace(/\$(\w+)\$/g, (all, sign: string) => {
        if (/^u[0-9a-f]+$/.test(sign))
          return String.fromCharCode(Number.parseInt(sign.slice(1), 16));
        return RUST_SIGNS[sign] ?? all;
      })
      .replaceAll("..", "::");
  return parts.map(plain).join("::");
}
