/** One heap for the main thread of a page and its Workers, in the system's Chromium. */
import assert from "node:assert/strict";
import type { Server } from "node:http";
import { after, before, test } from "node:test";
import { type Browser, chromium, type Page } from "playwright-core";
import { Random, seedOf } from "../support/random.js";
import { chromiumOptions, chromiumSkip, serverStart } from "./chromium.js";
import type * as PageSide from "./page.js";

const skip = chromiumSkip();
const seed = seedOf(20261121);
const seeds = new Random(seed);
const kinds: PageSide.HeapKind[] = [
  "wasm",
  "js over WebAssembly.Memory",
  "js over SharedArrayBuffer",
];
const EMPTY = { blocks: 0, blockBytes: 0, pages: 0, abandonedPages: 0, threads: 1 };

let browser: Browser;
let server: Server;
let url: string;

before(async () => {
  if (skip) return;
  ({ server, url } = await serverStart());
  browser = await chromium.launch(chromiumOptions());
});

after(async () => {
  await browser?.close();
  server?.close();
});

type Entry = keyof typeof PageSide;
type Answer<E extends Entry> = Awaited<ReturnType<(typeof PageSide)[E]>>;

/** Calls a function of page.ts in a fresh page. */
async function inPage<E extends Entry>(
  path: string,
  entry: E,
  ...args: Parameters<(typeof PageSide)[E]>
): Promise<Answer<E>> {
  const page: Page = await browser.newPage();
  try {
    await page.goto(url + path);
    const call = `side.${entry}(...${JSON.stringify(args)})`;
    // As text: what the compiler makes of import() here runs in Node only.
    return await page.evaluate<Answer<E>>(
      `import("/test/browser/page.js").then((side) => ${call})`,
    );
  } finally {
    await page.close();
  }
}

const options = { skip, timeout: 60_000 };

for (const kind of kinds) {
  test(`${kind}: two Workers and the main thread free each other's blocks`, options, async (t) => {
    t.diagnostic(`seed ${seed}`);
    const facts = await inPage("/", "exchange", kind, seeds.u32(), 2500);
    assert.equal(facts.threads, 3);
    assert.equal(facts.mayWait, false);
    assert.ok(facts.mineTurns > 0);
    assert.deepEqual(facts.books, EMPTY);
  });

  test(`${kind}: views and strings hold in every thread when one grows`, options, async () => {
    const bytes = kind === "js over SharedArrayBuffer" ? 2 ** 20 : 2 ** 25;
    const { seen, grown, books } = await inPage("/", "grow", kind, bytes);
    assert.deepEqual(seen, {
      view: [1, 2, 3],
      typedArray: [1, 2, 3],
      string: "grüße 🦊",
      stringInA: "grüße 🦊",
      stringInB: "nach dem Wachsen",
      sumInA: 6,
      sumInB: 15,
      far: "vom Ende",
      farInA: "vom Ende",
    });
    if (kind === "js over SharedArrayBuffer") assert.equal(grown, 0);
    else assert.ok(grown >= bytes, `${grown}`);
    assert.deepEqual(books, EMPTY);
  });

  test(`${kind}: a Worker that is terminated at work is recovered`, options, async (t) => {
    t.diagnostic(`seed ${seed}`);
    const facts = await inPage("/", "terminate", kind, seeds.u32(), 1000);
    assert.deepEqual([facts.watched, facts.unwatched], [true, false]);
    assert.equal(facts.turnsAfter, 0, "the Worker was still running when it was recovered");
    assert.ok(facts.lost <= 2, `${facts.lost} blocks`);
    assert.deepEqual(facts.books, EMPTY);
  });

  test(`${kind}: Workers that end without detach are recovered`, options, async () => {
    const facts = await inPage("/", "end", kind, 1000);
    assert.ok(facts.abandonedPages > 0);
    assert.deepEqual(facts.books, EMPTY);
  });

  test(`${kind}: a Worker without its lock yet is not taken for dead`, options, async (t) => {
    t.diagnostic(`seed ${seed}`);
    const facts = await inPage("/", "busyStart", kind, seeds.u32(), 3000);
    assert.deepEqual(facts, { threads: [2], watched: true, books: EMPTY });
  });
}

test("without cross-origin isolation a shared heap says what it needs", options, async () => {
  const text =
    "RangeError: shared memory is off: a browser page must be cross-origin isolated " +
    "(headers COOP and COEP)";
  assert.deepEqual(await inPage("/plain", "refusals"), [text, text, text]);
});
