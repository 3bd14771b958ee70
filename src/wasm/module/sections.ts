/** Copies the sections that contain indices of functions, and writes small parts of others. */
import type { ByteReader, ByteWriter } from "./bytes.ts";
import { CodeReader } from "./code.ts";
import { type FunctionType, KIND, type Limits } from "./module.ts";
import { op } from "./opcodes.ts";
import { readValueType } from "./value-types.ts";

/** Copies with the indices of functions moved. */
export class SectionCopier {
  readonly #index: (old: number) => number;

  constructor(index: (old: number) => number) {
    this.#index = index;
  }

  /** Copies globals: a type, mutability, an expression. */
  globals(part: ByteWriter, reader: ByteReader, count: number): void {
    for (let i = 0; i < count; i++) {
      const from = reader.at;
      readValueType(reader);
      reader.byte();
      part.copy(reader.bytes, from, reader.at);
      this.expression(part, reader);
    }
  }

  tables(part: ByteWriter, reader: ByteReader): boolean {
    const count = reader.u32();
    part.u32(count);
    for (let i = 0; i < count; i++) {
      const from = reader.at;
      const hasInit = reader.bytes[from] === 0x40;
      if (hasInit) reader.skip(2);
      readValueType(reader);
      limitsSkip(reader);
      part.copy(reader.bytes, from, reader.at);
      if (hasInit) this.expression(part, reader);
    }
    return true;
  }

  expression(part: ByteWriter, reader: ByteReader): void {
    const code = new CodeReader(reader.bytes, reader.at, reader.end);
    do {
      code.next();
      if (code.op === op.refFunc) {
        part.byte(op.refFunc);
        part.u32(this.#index(code.index));
      } else part.copy(reader.bytes, code.start, code.at);
    } while (code.op !== op.end);
    reader.at = code.at;
  }

  elements(part: ByteWriter, reader: ByteReader): boolean {
    const segments = reader.u32();
    part.u32(segments);
    for (let i = 0; i < segments; i++) {
      const flags = reader.u32();
      part.u32(flags);
      const active = (flags & 1) === 0;
      if (active && flags & 2) part.u32(reader.u32());
      if (active) this.expression(part, reader);
      if (flags & 3) {
        const from = reader.at;
        flags & 4 ? readValueType(reader) : reader.byte();
        part.copy(reader.bytes, from, reader.at);
      }
      const count = reader.u32();
      part.u32(count);
      for (let k = 0; k < count; k++) {
        if (flags & 4) this.expression(part, reader);
        else part.u32(this.#index(reader.u32()));
      }
    }
    return true;
  }
}

export function typeWrite(part: ByteWriter, type: FunctionType): void {
  part.byte(0x60);
  for (const list of [type.params, type.results]) {
    part.u32(list.length);
    for (const each of list) part.byte(each);
  }
}

export function exportWrite(part: ByteWriter, name: string, kind: number, index: number): void {
  part.name(name);
  part.byte(kind);
  part.u32(index);
}

/** A vector with entries added: the count, the old bytes, the new entries. */
export function listExtend<T>(
  part: ByteWriter,
  reader: ByteReader,
  added: readonly T[],
  write: (entry: T) => void,
): boolean {
  const count = reader.done ? 0 : reader.u32();
  part.u32(count + added.length);
  part.copy(reader.bytes, reader.at, reader.end);
  for (const entry of added) write(entry);
  return true;
}

export function limitsWrite(part: ByteWriter, limits: Limits): void {
  part.byte((limits.max === undefined ? 0 : 1) | (limits.shared ? 2 : 0));
  part.u32(limits.min);
  if (limits.max !== undefined) part.u32(limits.max);
}

export function limitsSkip(reader: ByteReader): void {
  const flags = reader.u32();
  reader.u64();
  if (flags & 1) reader.u64();
}

export function importTypeSkip(reader: ByteReader, kind: number): void {
  if (kind === KIND.function) reader.u32();
  else if (kind === KIND.memory) limitsSkip(reader);
  else if (kind === KIND.tag) {
    reader.skip(1);
    reader.u32();
  } else {
    readValueType(reader);
    if (kind === KIND.table) limitsSkip(reader);
    else reader.byte();
  }
}
