/** Threads that come, allocate and end in order: what they leave does not add up. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { attachDebug, debug } from "#src/debug/index.js";
import { createSharedHeap } from "#src/heap/shared.js";

/** `npm run soak` has 100 000: some 1 100 used up all records once. */
const LIVES = Number(process.env.TERRANE_LIVES ?? 1500);

test("records and stacks of ended threads are used again, and those of live blocks stay", () => {
  const texts: string[] = [];
  const onReport = (report: unknown) => texts.push(String(report));
  const options = { threadSafe: true, reportAtExit: false, onReport, stackTraceFrames: 4 };
  const debugged = debug(createSharedHeap(), options);
  const first = attachDebug(debugged.handle(), { threadId: () => 77 });
  const kept = (function keptByTheFirst() {
    return first.malloc(33);
  })();
  first.destroy();
  let overhead = 0;
  for (let life = 0; life < LIVES; life++) {
    const mine = attachDebug(debugged.handle(), { threadId: () => 1000 + life });
    const blocks = [mine.malloc(16 + (life % 900)), mine.malloc(3000), mine.malloc(40_000)];
    assert.ok(blocks.every((ptr) => ptr !== 0));
    for (const ptr of blocks) mine.free(ptr);
    mine.destroy();
    if (life === LIVES >>> 1) overhead = debugged.stats().overheadBytes;
  }
  const grown = debugged.stats().overheadBytes - overhead;
  assert.ok(grown < 100_000, `${grown} bytes for half of ${LIVES} threads that have ended`);
  assert.deepEqual(texts, []);
  debugged.freeSized(kept, 32);
  assert.match(String(texts[0]), /allocated by thread 77:\n {4}at keptByTheFirst/);
  debugged.free(kept);
  assert.match(
    String(texts[1]),
    /double free[\s\S]*allocated by thread 77:\n {4}at keptByTheFirst/,
  );
  assert.equal(debugged.destroy(), "ok");
});
