/** Frames as users read them: through source maps, with the line of source if it can be read. */
import { frameText } from "../../common/frame-text.ts";
import { nodeModule } from "./node.ts";
import type { Frame } from "./stack-table.ts";

/** A frame of a report, at its position in the code that its author wrote. */
export interface SourcePosition {
  /** The function, as stack traces name it; empty at the top level of a module. */
  readonly call: string;
  /** A path, or a URL that is not of a file. */
  readonly file: string;
  /** From 1; 0 where there are no lines, as in wasm. */
  readonly line: number;
  /** From 1; 0 where there are no lines. */
  readonly column: number;
}

interface Mapped {
  /** Undefined for a file without a source map. */
  readonly map: import("node:module").SourceMap | undefined;
}

const maps = new Map<string, Mapped>();
const texts = new Map<string, string[] | undefined>();

/** Maps a frame to the code that its author wrote; without a source map it stays as it is. */
export function sourcePositionOf(frame: Frame): SourcePosition {
  const { call, line, column } = frame;
  const map = line === 0 ? undefined : mapOf(frame.url);
  const entry = map?.findEntry(line - 1, column - 1) as Partial<Entry> | undefined;
  if (!entry?.originalSource || entry.originalLine === undefined) {
    return { call, file: pathOf(frame.url), line, column };
  }
  return {
    call,
    file: pathOf(joinUrl(entry.originalSource, frame.url)),
    line: entry.originalLine + 1,
    column: (entry.originalColumn ?? 0) + 1,
  };
}

interface Entry {
  originalSource: string;
  originalLine: number;
  originalColumn: number;
}

/** The line of source at a position, if its file can be read. */
export function sourceLineOf({ file, line }: SourcePosition): string | undefined {
  if (line === 0) return undefined;
  if (!texts.has(file)) texts.set(file, readFile(file)?.split("\n"));
  return texts.get(file)?.[line - 1];
}

export function positionText({ call, file, line, column }: SourcePosition): string {
  return `at ${frameText(call, file, line, column)}`;
}

function mapOf(url: string): Mapped["map"] {
  const known = maps.get(url) ?? { map: findMap(url) };
  maps.set(url, known);
  return known.map;
}

/**
 * Node knows the maps of the files it loaded only with --enable-source-maps, so the comment at the
 * end of a file is read as well. Only maps in files of this machine and in data URLs are read.
 */
function findMap(url: string): Mapped["map"] {
  const module = nodeModule("node:module");
  const found = module?.findSourceMap?.(url);
  if (found || !module) return found;
  const text = readFile(pathOf(url));
  const link = text && /\n\/\/[#@] sourceMappingURL=(\S+)\s*$/.exec(text)?.[1];
  const json = link && readMap(link, url);
  if (!json) return undefined;
  try {
    return new module.SourceMap(JSON.parse(json));
  } catch {
    return undefined; // a damaged map counts as none
  }
}

function readMap(link: string, url: string): string | undefined {
  const data = /^data:application\/json[^,]*?(;base64)?,(.*)$/.exec(link);
  if (!data) return readFile(pathOf(joinUrl(link, url)));
  const [, base64, body = ""] = data;
  if (!base64) return decodeURIComponent(body);
  return new TextDecoder().decode(Uint8Array.from(atob(body), (c) => c.charCodeAt(0)));
}

function joinUrl(relative: string, base: string): string {
  try {
    return new URL(relative, base.startsWith("/") ? `file://${base}` : base).href;
  } catch {
    return relative;
  }
}

/** Returns /a/b.js for file:///a/b.js, and anything else as it is. */
function pathOf(url: string): string {
  if (!url.startsWith("file://")) return url;
  return decodeURIComponent(url.slice("file://".length)).replace(/^\/([A-Za-z]:)/, "$1");
}

function readFile(path: string): string | undefined {
  try {
    return nodeModule("node:fs")?.readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
