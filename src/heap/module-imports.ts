/** What a wasm module imports, read from its bytes: a compiled module does not show limits. */

import { PAGES_MOST } from "../common/constants.ts";

/** Limits of an imported memory or table. */
interface ImportLimits {
  /** Pages of 64 KiB, or elements. */
  readonly min: number;
  readonly max: number | undefined;
  readonly shared: boolean;
  readonly is64: boolean;
}

/** One import. */
export interface ModuleImport {
  readonly module: string;
  readonly name: string;
  readonly kind: "function" | "table" | "memory" | "global" | "tag";
  /** Of a table or memory. */
  readonly limits?: ImportLimits | undefined;
}

const IMPORT_SECTION = 2;
const MAGIC = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
/** Types of references with a heap type behind them. */
const TYPED_REFERENCES = [0x63, 0x64];

/** @throws TypeError for bytes that are not a module, or end too early. */
export function readImports(bytes: Uint8Array): ModuleImport[] {
  if (!MAGIC.every((byte, i) => bytes[i] === byte)) throw notAModule("it does not begin as one");
  const reader = new Reader(bytes, MAGIC.length);
  while (!reader.done) {
    const section = reader.byte();
    const size = reader.number();
    if (section === IMPORT_SECTION) return importsRead(reader);
    reader.skip(size);
  }
  return [];
}

function importsRead(reader: Reader): ModuleImport[] {
  const imports: ModuleImport[] = [];
  for (let left = reader.number(); left > 0; left--) {
    const [module, name] = [reader.text(), reader.text()];
    imports.push({ module, name, ...externalRead(reader) });
  }
  return imports;
}

function externalRead(reader: Reader): Pick<ModuleImport, "kind" | "limits"> {
  const kind = reader.byte();
  if (kind === 0) reader.number();
  else if (kind === 1) {
    typeRead(reader);
    return { kind: "table", limits: limitsRead(reader) };
  } else if (kind === 2) return { kind: "memory", limits: memoryRead(reader) };
  else if (kind === 3) {
    typeRead(reader);
    reader.byte();
    return { kind: "global" };
  } else if (kind === 4) {
    reader.byte();
    reader.number();
    return { kind: "tag" };
  } else throw notAModule(`it has an import of the unknown kind ${kind}`);
  return { kind: "function" };
}

function typeRead(reader: Reader): void {
  if (TYPED_REFERENCES.includes(reader.byte())) reader.number();
}

function memoryRead(reader: Reader): ImportLimits {
  const limits = limitsRead(reader);
  const { min, max = min, is64 } = limits;
  const isValid = min <= max && (is64 || max <= PAGES_MOST);
  if (!isValid) throw notAModule(`a memory cannot have ${min} to ${max} pages`);
  return limits;
}

function limitsRead(reader: Reader): ImportLimits {
  const flags = reader.byte();
  const min = reader.number();
  const max = (flags & 1) !== 0 ? reader.number() : undefined;
  if ((flags & 8) !== 0) reader.number(); // the size of a page
  return { min, max, shared: (flags & 2) !== 0, is64: (flags & 4) !== 0 };
}

class Reader {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw notAModule("it ends too early");
    return byte;
  }

  /** LEB128, up to 2^53. */
  number(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      if (scale > 2 ** 46) throw notAModule("it has a number that is too large");
    }
  }

  skip(size: number): void {
    this.#at += size;
    if (this.#at > this.#bytes.length) throw notAModule("it ends too early");
  }

  text(): string {
    const length = this.number();
    const start = this.#at;
    this.skip(length);
    return new TextDecoder().decode(this.#bytes.slice(start, start + length));
  }
}

function notAModule(why: string): TypeError {
  return new TypeError(`createImports needs the bytes of a .wasm module: ${why}`);
}
