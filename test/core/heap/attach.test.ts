/** All state is in the memory: instances of both back ends can use one heap by turns. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { backEnds, coreAttached, coreSubject } from "../../support/core.js";
import { profiles, Shadow, step, type Verbs } from "../../support/model.js";
import { assertEmpty, assertValid } from "../../support/pages.js";
import { Random, seedOf } from "../../support/random.js";

/** Each call goes to an instance that is picked at random. */
function inTurns(cores: Verbs[], random: Random): Verbs {
  const turn = () => cores[random.below(cores.length)]!;
  return {
    malloc: (size) => turn().malloc(size),
    calloc: (count, size) => turn().calloc(count, size),
    memalign: (alignment, size) => turn().memalign(alignment, size),
    realloc: (p, size) => turn().realloc(p, size),
    free: (p) => turn().free(p),
    usableSize: (p) => turn().usableSize(p),
    bytes: () => turn().bytes(),
  };
}

for (const first of backEnds) {
  test(`${first}: heapAttach - wasm and JavaScript instances share one heap in turns`, (t) =>
    share(first, t));
}

function share(first: "wasm" | "js", t: TestContext): void {
  const seed = seedOf(7000);
  t.diagnostic(`TERRANE_SEED=${seed}`);
  const made = coreSubject(first);
  const subjects = [made, ...backEnds.map((backEnd) => coreAttached(backEnd, made))];
  const verbs = subjects.map((s) => ({ ...s.core, bytes: s.bytes }));
  const shadow = new Shadow(inTurns(verbs, new Random(seed + 1)));
  const random = new Random(seed);
  for (let i = 0; i < 20000; i++) step(shadow, profiles[1]!, random);
  for (const subject of subjects) assertValid(subject);
  assert.ok(shadow.live.length > 0);
  shadow.freeAll();
  assertEmpty(made);
}
