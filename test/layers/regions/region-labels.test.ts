/** Profiles stay small, however many labels a program makes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { arena, currentRegion, enter, openRegion, type ScopeProfile } from "#src/layers/index.js";

function* all(profile: ScopeProfile): Generator<ScopeProfile> {
  yield profile;
  for (const inner of profile.inner) yield* all(inner);
}

test("labels are bounded: the oldest are added up, and no region is lost from the sums", () => {
  using region = openRegion(arena, { label: "labels" });
  const enterIn = (label: string, inner?: string) =>
    enter(
      () => arena(region.pool),
      () => {
        currentRegion().malloc(100);
        if (inner) enter(arena, () => currentRegion().malloc(10), { label: inner });
      },
      { label },
    );
  enter(arena, (outer) => {
    for (let i = 0; i < 20_000; i++) {
      enterIn("request");
      enterIn(`request ${i}`, `user ${i % 300}`);
    }
    const profile = outer.profile();
    const scopes = [...all(profile)];
    assert.ok(scopes.length < 2200, `${scopes.length} labels`);
    const byLabel = new Map(profile.inner.map((each) => [each.label, each]));
    assert.equal(byLabel.get("request")?.regions, 20_000, "a label in use keeps its own sums");
    assert.ok((byLabel.get("(others)")?.regions ?? 0) > 15_000);
    assert.ok(byLabel.has("request 19999"), "the latest label has sums of its own");
    assert.equal(
      profile.inner.reduce((sum, { regions }) => sum + regions, 0),
      40_000,
    );
    assert.equal(
      scopes.reduce((sum, { regions }) => sum + regions, 0),
      1 + 40_000 + 20_000,
    );
  });
});

test("labels of regions that are open are not given up", () => {
  enter(arena, (outer) => {
    const open = Array.from({ length: 3000 }, (_, i) => openRegion(arena, { label: `open ${i}` }));
    for (const region of open) assert.equal(region.profile().open >= 1, true);
    const { inner } = outer.outer === undefined ? outer.profile() : open[0]!.outer!.profile();
    assert.equal(inner.reduce((sum, each) => sum + each.open, 0) >= 3000, true);
    for (const region of open) region.destroy();
  });
});
