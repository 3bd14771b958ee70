/** The bytes of a trace file, decompressed if they are gzip. */
import { createReadStream, type ReadStream } from "node:fs";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";

const READ_SIZE = 1 << 18;

/**
 * Yields the contents in pieces, so that a trace may be larger than memory. Gzip is recognised by
 * its first two bytes and not by the name, since a pipe has no name.
 */
export async function* sourceChunks(file: string): AsyncGenerator<Uint8Array> {
  const raw = streamOpen(file)[Symbol.asyncIterator]();
  const head = await headRead(raw);
  const all = chunksJoin(head, raw);
  if (head[0] !== 0x1f || head[1] !== 0x8b) return yield* all;
  // pipeline passes the failure of either end to the reader of the decompressed stream.
  yield* pipeline(all, createGunzip({ chunkSize: READ_SIZE }), () => {});
}

/** The name of standard input. */
const STANDARD_INPUT = "-";

function streamOpen(file: string): ReadStream {
  if (file !== STANDARD_INPUT) return createReadStream(file, { highWaterMark: READ_SIZE });
  return createReadStream("", { fd: 0, autoClose: false, highWaterMark: READ_SIZE });
}

/** At least two bytes, unless there are fewer: a pipe may deliver one at a time. */
async function headRead(chunks: AsyncIterator<Uint8Array>): Promise<Uint8Array> {
  let head = new Uint8Array(0);
  while (head.length < 2) {
    const { done, value } = await chunks.next();
    if (done) break;
    head = Buffer.concat([head, value]);
  }
  return head;
}

async function* chunksJoin(
  head: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield head;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}

const FAULTS: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EISDIR: "it is a folder",
  Z_BUF_ERROR: "the gzip data ends too early",
  Z_DATA_ERROR: "the gzip data is damaged",
};

/**
 * What a failure of `sourceChunks` means, as text for the user.
 * @returns undefined if the file is not the reason.
 */
export function sourceFault(error: unknown): { text: string; atLine: boolean } | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  if (code === undefined) return undefined;
  const atLine = code.startsWith("Z_");
  const text = FAULTS[code] ?? (atLine ? "the gzip data is damaged" : `error ${code}`);
  return { text: atLine ? text : `cannot be read: ${text}`, atLine };
}
