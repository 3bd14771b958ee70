/** The system's Chromium, and a server that shows it the package. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join, normalize } from "node:path";
import { built } from "../support/checkout.js";

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const PLACES = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/snap/bin/chromium",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
  "C:\\Program Files (x86)\\Google\\Chrome\\Application\\chrome.exe",
];

const MISSING = "no Chromium here: install it, or give its path in TERRANE_CHROMIUM";

/** Where Chromium is, or undefined. TERRANE_CHROMIUM is believed. */
export function chromiumPath(): string | undefined {
  return process.env.TERRANE_CHROMIUM || PLACES.find((place) => existsSync(place));
}

/**
 * Why tests in a browser are left out, or false. Where they are required, under CI for one, they
 * are not left out but fail.
 */
export function chromiumSkip(): string | false {
  const { CI, TERRANE_BROWSER = CI ? "required" : "optional" } = process.env;
  if (chromiumPath() !== undefined || TERRANE_BROWSER === "required") return false;
  return MISSING;
}

export function chromiumOptions(): { executablePath: string; args: string[] } {
  const executablePath = chromiumPath();
  if (executablePath === undefined) throw new Error(MISSING);
  return { executablePath, args: FLAGS };
}

const folders = { "/src/": join(built, "src"), "/test/": join(built, "test") };

const ISOLATED = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

/**
 * Serves the compiled modules as /src, the compiled tests as /test, and two empty pages: / is cross-origin
 * isolated, /plain is not. Listens on a port of its own.
 */
export async function serverStart(): Promise<{ server: Server; url: string }> {
  const server = createServer(async ({ url = "" }, response) => {
    const headers = url === "/plain" ? {} : ISOLATED;
    const script = await scriptRead(url);
    const page = url === "/" || url === "/plain" ? "<!doctype html><title>terrane</title>" : "";
    const type = script === undefined ? "text/html" : "text/javascript";
    const found = script !== undefined || page !== "";
    response.writeHead(found ? 200 : 404, { ...headers, "content-type": type });
    response.end(script ?? page);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** Workers have no import maps, so the names that Node resolves by package.json are replaced. */
async function scriptRead(url: string): Promise<string | undefined> {
  for (const [prefix, folder] of Object.entries(folders)) {
    if (!url.startsWith(prefix)) continue;
    const path = join(folder, normalize(`/${url.slice(prefix.length)}`));
    const text = await readFile(path, "utf8").catch(() => undefined);
    return text?.replaceAll('"#src/', '"/src/');
  }
  return undefined;
}
