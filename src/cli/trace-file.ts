/** The file of a trace: lines are written in chunks. */
import { OutputFile } from "./output.ts";

const TRACE_CHUNK = 1 << 16;

export class TraceFile {
  readonly #file: OutputFile;
  #waiting = "";
  /** Why the trace could not be written. The program has gone on without it. */
  unwritten: string | undefined;

  /** @throws OutputError if no file can be made there. */
  constructor(path: string) {
    this.#file = new OutputFile(path);
  }

  /** The file beside the trace's place; undefined if that is written directly. */
  get temporary(): string | undefined {
    return this.#file.temporary;
  }

  line(text: string): void {
    if (this.unwritten !== undefined) return;
    this.#waiting += `${text}\n`;
    if (this.#waiting.length > TRACE_CHUNK) this.#flush();
  }

  /** Writes what is left, and puts the file in its place. */
  commit(): void {
    this.#flush();
    this.#attempt(() => this.#file.commit());
  }

  #flush(): void {
    const text = this.#waiting;
    this.#waiting = "";
    this.#attempt(() => this.#file.write(text));
  }

  /** An exception would go through the program, which cannot help it. */
  #attempt(step: () => void): void {
    if (this.unwritten !== undefined) return;
    try {
      step();
    } catch (error) {
      this.unwritten = (error as Error).message;
    }
  }
}
