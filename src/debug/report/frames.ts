/** Frames as people read them: through source maps, with the line of source where it can be had. */
import { nodeModule } from "./node.ts";
import type { Frame } from "./stack-table.ts";

/** A frame of a report: where the author of the code wrote it. */
export interface SourcePosition {
  /** The function, as stack reportStacks name it; empty at the top of a module. */
  readonly call: string;
  /** A path, or a url that is no file. */
  readonly file: string;
  /** From 1; 0 where there are no lines, as in wasm. */
  readonly line: number;
  readonly column: number;
}

interface Mapped {
  /** Undefined for a file without a source map. */
  readonly map: import("node:module").SourceMap | undefined;
}

const maps = new Map<string, Mapped>();
const texts = new Map<string, string[] | undefined>();

/** Where a frame stands in what its author wrote; as the engine says it, if there is no map. */
export function sourcePositionOf(frame: Frame): SourcePosition {
  const { call, line, column } = frame;
  const map = line === 0 ? undefined : mapOf(frame.url);
  const entry = map?.findEntry(line - 1, column - 1) as Partial<Entry> | undefined;
  if (!entry?.originalSource || entry.originalLine === undefined) {
    return { call, file: pathOf(frame.url), line, column };
  }
  return {
    call,
    file: pathOf(urlJoin(entry.originalSource, frame.url)),
    line: entry.originalLine + 1,
    column: (entry.originalColumn ?? 0) + 1,
  };
}

interface Entry {
  originalSource: string;
  originalLine: number;
  originalColumn: number;
}

/** The line of source at a place, if its file can be read. */
export function sourceLineOf({ file, line }: SourcePosition): string | undefined {
  if (line === 0) return undefined;
  if (!texts.has(file)) texts.set(file, fileRead(file)?.split("\n"));
  return texts.get(file)?.[line - 1];
}

export function positionText({ call, file, line, column }: SourcePosition): string {
  const place = line === 0 ? file : `${file}:${line}:${column}`;
  return call === "" ? `at ${place}` : `at ${call} (${place})`;
}

function mapOf(url: string): Mapped["map"] {
  const known = maps.get(url) ?? { map: mapFind(url) };
  maps.set(url, known);
  return known.map;
}

/**
 * Node knows the maps of what it loaded only with --enable-source-maps, so the comment at the end
 * of the file is read as well. Maps that are no files of this machine are left to the debugger.
 */
function mapFind(url: string): Mapped["map"] {
  const module = nodeModule("node:module");
  const found = module?.findSourceMap?.(url);
  if (found || !module) return found;
  const text = fileRead(pathOf(url));
  const link = text && /\n\/\/[#@] sourceMappingURL=(\S+)\s*$/.exec(text)?.[1];
  const json = link && mapRead(link, url);
  if (!json) return undefined;
  try {
    return new module.SourceMap(JSON.parse(json));
  } catch {
    return undefined; // a damaged map is as good as none
  }
}

function mapRead(link: string, url: string): string | undefined {
  const data = /^data:application\/json[^,]*?(;base64)?,(.*)$/.exec(link);
  if (!data) return fileRead(pathOf(urlJoin(link, url)));
  const [, base64, body = ""] = data;
  if (!base64) return decodeURIComponent(body);
  return new TextDecoder().decode(Uint8Array.from(atob(body), (c) => c.charCodeAt(0)));
}

function urlJoin(relative: string, base: string): string {
  try {
    return new URL(relative, base.startsWith("/") ? `file://${base}` : base).href;
  } catch {
    return relative;
  }
}

/** file:///a/b.js as /a/b.js; anything else as it is. */
function pathOf(url: string): string {
  if (!url.startsWith("file://")) return url;
  return decodeURIComponent(url.slice("file://".length)).replace(/^\/([A-Za-z]:)/, "$1");
}

function fileRead(path: string): string | undefined {
  try {
    return nodeModule("node:fs")?.readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
