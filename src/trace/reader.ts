/** Reads a trace, and reports the first line that is wrong, with the reason. */
import {
  fieldByte,
  fieldNumber,
  fieldsCreate,
  fieldsCut,
  fieldText,
  NEGATIVE,
  NOT_A_NUMBER,
} from "./fields.ts";
import type { Trace } from "./ops.ts";
import { CALLOC, MALLOC, MEMALIGN, NUMBER_MAX, TraceError } from "./ops.ts";
import { Recorder } from "./recorder.ts";
import { sourceChunks, sourceFault } from "./source.ts";

const NEWLINE = 10;
/** Without a limit, a file without line ends would be read whole before it is refused. */
const LINE_MAX = 1 << 16;

/**
 * Reads a trace file, plain or gzip.
 * @throws TraceError if it cannot be read, or for the first line that is wrong.
 */
export async function readTrace(file: string): Promise<Trace> {
  const parser = new TraceParser(file);
  try {
    for await (const chunk of sourceChunks(file)) parser.feed(chunk);
  } catch (error) {
    const fault = sourceFault(error);
    if (fault === undefined) throw error;
    throw new TraceError(file, fault.atLine ? parser.line + 1 : 0, fault.text);
  }
  return parser.finish();
}

/** U+FEFF in UTF-8, which some editors and shells write before a text. */
const MARK = [0xef, 0xbb, 0xbf] as const;

function markBytes(bytes: Uint8Array, from: number): number {
  return MARK.every((byte, i) => bytes[from + i] === byte) ? MARK.length : 0;
}

/** Reads a trace that comes in pieces, which may end anywhere. */
export class TraceParser {
  /** Lines that were read so far. */
  line = 0;
  readonly #file: string;
  readonly #fields = fieldsCreate();
  readonly #recorder = new Recorder();
  #rest: Uint8Array = new Uint8Array(0);

  /** @param file the name that error texts have. */
  constructor(file: string) {
    this.#file = file;
  }

  /**
   * Reads the next piece.
   * @throws TraceError for the first line that is wrong.
   */
  feed(chunk: Uint8Array): void {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    let from = 0;
    for (let to = bytes.indexOf(NEWLINE); to >= 0; to = bytes.indexOf(NEWLINE, from)) {
      this.#take(bytes, from, to);
      from = to + 1;
    }
    // A copy: the caller may use the memory of the chunk again.
    this.#rest = bytes.slice(from);
    if (this.#rest.length > LINE_MAX) this.#reject(`the line is longer than ${LINE_MAX} bytes`, 1);
  }

  /**
   * Returns the trace.
   * @throws TraceError if the last line is wrong, or if there was no operation.
   */
  finish(): Trace {
    if (this.#rest.length > 0) this.#take(this.#rest, 0, this.#rest.length);
    if (this.#recorder.operations === 0) {
      throw new TraceError(this.#file, Math.max(this.line, 1), "the trace has no operation");
    }
    return this.#recorder.finish(this.#file);
  }

  #take(bytes: Uint8Array, from: number, to: number): void {
    this.line++;
    const start = this.line === 1 ? from + markBytes(bytes, from) : from;
    fieldsCut(this.#fields, bytes, start, to);
    if (this.#fields.count > 0) this.#operation();
  }

  #operation(): void {
    switch (String.fromCharCode(fieldByte(this.#fields, 0))) {
      case "m":
        this.#malloc();
        break;
      case "c":
        this.#calloc();
        break;
      case "a":
        this.#memalign();
        break;
      case "r":
        this.#realloc();
        break;
      case "f":
        this.#free();
        break;
      case "t":
        this.#thread();
        break;
      default:
        this.#reject(`unknown operation "${fieldText(this.#fields, 0)}"`);
    }
  }

  #malloc(): void {
    this.#expect("m ID SIZE", 3);
    this.#newId(1);
    const size = this.#number(2, "size");
    this.#recorder.allocate(MALLOC, size, 0, size);
  }

  #calloc(): void {
    this.#expect("c ID COUNT SIZE", 4);
    this.#newId(1);
    const count = this.#number(2, "count");
    const size = this.#number(3, "size");
    const total = count * size;
    if (total > NUMBER_MAX) this.#reject(`count ${count} * size ${size} is above ${NUMBER_MAX}`);
    this.#recorder.allocate(CALLOC, count, size, total);
  }

  #memalign(): void {
    this.#expect("a ID ALIGNMENT SIZE", 4);
    this.#newId(1);
    const alignment = this.#number(2, "alignment");
    if (alignment === 0 || (alignment & (alignment - 1)) !== 0) {
      this.#reject(`alignment ${alignment} is not a power of two`);
    }
    const size = this.#number(3, "size");
    this.#recorder.allocate(MEMALIGN, alignment, size, size);
  }

  #realloc(): void {
    this.#expect("r OLD NEW SIZE", 4);
    const old = this.#number(1, "ID");
    if (old !== 0) this.#live(old);
    this.#newId(2);
    this.#recorder.reallocate(old, this.#number(3, "size"));
  }

  #free(): void {
    this.#expect("f ID", 2);
    const id = this.#number(1, "ID");
    this.#live(id);
    this.#recorder.free(id);
  }

  #thread(): void {
    this.#expect("t N", 2);
    this.#recorder.thread(this.#number(1, "thread"));
  }

  #expect(form: string, count: number): void {
    if (this.#fields.count === count) return;
    const problem = this.#fields.count < count ? "few" : "many";
    this.#reject(`too ${problem} fields, expected "${form}"`);
  }

  #number(index: number, what: string): number {
    const value = fieldNumber(this.#fields, index);
    if (value >= 0 && value <= NUMBER_MAX) return value;
    const text = fieldText(this.#fields, index);
    if (value === NOT_A_NUMBER) this.#reject(`${what} "${text}" is not a whole number`);
    if (value === NEGATIVE) this.#reject(`${what} ${text} is negative`);
    this.#reject(`${what} ${text} is above ${NUMBER_MAX}`);
  }

  #newId(index: number): void {
    const id = this.#number(index, "ID");
    const next = this.#recorder.nextId;
    if (id === next) return;
    if (id === 0) this.#reject("ID 0 is not valid: IDs count up from 1");
    if (id < next) this.#reject(`ID ${id} is used twice`);
    this.#reject(`ID ${id} is out of order, the next new one is ${next}`);
  }

  #live(id: number): void {
    if (this.#recorder.idIsLive(id)) return;
    if (id === 0 || id >= this.#recorder.nextId) this.#reject(`ID ${id} is unknown`);
    this.#reject(`ID ${id} is not live: it was freed or reallocated before`);
  }

  /** @param ahead how many lines behind the last one the wrong one is. */
  #reject(fault: string, ahead = 0): never {
    throw new TraceError(this.#file, this.line + ahead, fault);
  }
}
