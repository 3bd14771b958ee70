/** The source map that a program names: a module may come from anyone, so only files beside it. */
import { closeSync, constants, fstatSync, openSync, readFileSync, realpathSync } from "node:fs";
import { dirname, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { Module } from "../wasm/module/module.ts";
import { printableName } from "../wasm/symbols/printable.ts";
import { SourceMap, sourceMapUrl } from "../wasm/symbols/sourcemap.ts";

/** The most bytes of a source map. */
const MAP_MOST = 256 * 2 ** 20;

/** The text of the program's source map; otherwise why there is none, if the program names one. */
export interface SourceMapText {
  readonly text?: string;
  readonly warning?: string;
}

/** Reads the source map that a module names. */
export function sourceMapRead(path: string, module: Module): SourceMapText {
  const url = sourceMapUrl(module);
  if (url === undefined) return {};
  try {
    const text = textRead(path, url);
    // Only to find out whether it is one: the reports come later.
    new SourceMap(text);
    return { text };
  } catch (error) {
    const name = url.startsWith("data:") ? "in the module" : printableName(url);
    return { warning: `source map ${name} is not used: ${(error as Error).message}` };
  }
}

function textRead(path: string, url: string): string {
  if (url.startsWith("data:")) return dataRead(url);
  if (/^[a-z][a-z0-9+.-]+:/i.test(url) && !url.startsWith("file:")) {
    throw new Error("only files are read");
  }
  const folder = realpathSync(dirname(resolve(path)));
  const named = url.startsWith("file:") ? fileURLToPath(url) : resolve(folder, url);
  const file = realOf(named);
  if (!file.startsWith(folder.endsWith(sep) ? folder : folder + sep)) {
    throw new Error("it is outside of the module's folder");
  }
  return fileText(file);
}

function dataRead(url: string): string {
  const comma = url.indexOf(",");
  const isBase64 = /;base64$/i.test(url.slice(0, comma));
  const body = url.slice(comma + 1);
  try {
    return isBase64 ? Buffer.from(body, "base64").toString() : decodeURIComponent(body);
  } catch {
    throw new Error("its text is damaged");
  }
}

function realOf(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    throw new Error("no such file");
  }
}

/** Opened without waiting, so that a pipe or a device cannot hold the command up. */
function fileText(file: string): string {
  const descriptor = openQuiet(file);
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) throw new Error("it is not a regular file");
    if (stat.size > MAP_MOST) throw new Error(`it has more than ${MAP_MOST} bytes`);
    return readFileSync(descriptor, "utf8");
  } finally {
    closeSync(descriptor);
  }
}

function openQuiet(file: string): number {
  try {
    return openSync(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch {
    throw new Error("it cannot be read");
  }
}
