/**
 * Source maps of modules, as AssemblyScript and emscripten write them. Columns are offsets in the
 * file.
 */
import { ByteReader } from "../module/bytes.ts";
import { type Module, SECTION, sectionFind } from "../module/module.ts";
import type { SourcePosition } from "./dwarf-lines.ts";

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** The URL of a module's source map; undefined if the module names none. */
export function sourceMapUrl(module: Module): string | undefined {
  const section = sectionFind(module, SECTION.custom, "sourceMappingURL");
  if (!section) return undefined;
  try {
    return new ByteReader(module.bytes, section.start, section.end, "sourceMappingURL").name();
  } catch {
    return undefined;
  }
}

export class SourceMap {
  readonly #sources: readonly unknown[];
  readonly #offsets: number[] = [];
  /** Source, line and column of each offset, from 0. */
  readonly #positions: number[] = [];

  /** @throws SyntaxError when the text is not a source map of version 3. */
  constructor(text: string) {
    const map = mapParse(text);
    if (map?.version !== 3 || !Array.isArray(map.sources) || typeof map.mappings !== "string") {
      throw new SyntaxError("not a source map of version 3");
    }
    this.#sources = map.sources;
    this.#read(map.mappings);
  }

  /** @param offset in the module's file. */
  find(offset: number): SourcePosition | undefined {
    let [low, high] = [0, this.#offsets.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#offsets[middle] as number) <= offset) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return undefined;
    const [source, line, column] = this.#positions.slice((low - 1) * 3, low * 3);
    const file = this.#sources[source as number];
    if (typeof file !== "string") return undefined;
    return { file, line: (line as number) + 1, column: (column as number) + 1 };
  }

  /** A module has one line, so there are no semicolons. */
  #read(mappings: string): void {
    const state = [0, 0, 0, 0];
    for (const segment of mappings.split(",")) {
      const values = vlqRead(segment);
      for (let i = 0; i < 4; i++) (state[i] as number) += values[i] ?? 0;
      if (values.length < 4) continue;
      this.#offsets.push(state[0] as number);
      this.#positions.push(state[1] as number, state[2] as number, state[3] as number);
    }
  }
}

interface MapText {
  readonly version?: unknown;
  readonly sources?: readonly unknown[];
  readonly mappings?: unknown;
}

/** The engine's error would show the beginning of the text, which may be of any file. */
function mapParse(text: string): MapText | undefined {
  try {
    return (JSON.parse(text) as MapText | null) ?? undefined;
  } catch {
    return undefined;
  }
}

function vlqRead(text: string): number[] {
  const values: number[] = [];
  let [value, scale] = [0, 1];
  for (const character of text) {
    const digit = DIGITS.indexOf(character);
    if (digit < 0) continue;
    value += (digit & 31) * scale;
    scale *= 32;
    if (digit & 32) continue;
    values.push(value % 2 === 1 ? -(value - 1) / 2 : value / 2);
    [value, scale] = [0, 1];
  }
  return values;
}
