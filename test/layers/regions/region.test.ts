/** Regions: scopes that free what is left, escape, owners of blocks, nesting. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeap } from "#src/heap/index.js";
import * as L from "#src/layers/index.js";

const { ambient, arena, currentRegion, enter, fill, getGroundRegion, kingsley, pipe, stats, zone } =
  L;
const heap = createHeap();
L.setGroundHeap(heap); // so that the tests can read its statistics

/** Calls fn and asserts that it left `kept` blocks in the heap. */
function leaves<R>(fn: () => R, kept = 0): R {
  const before = heap.stats().blocks;
  const result = fn();
  assert.equal(heap.stats().blocks - before, kept);
  return result;
}

function code(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return "nothing thrown";
}

test("enter uses the layer, frees what is left and returns what fn returns", () => {
  const answer = leaves(() =>
    enter(arena, (region) => {
      assert.equal(currentRegion(), region);
      for (let i = 0; i < 1000; i++) assert.notEqual(currentRegion().malloc(i), 0);
      assert.match(L.formatTree(region.pool), /^zone\(16384\): 1000 got, 0 put/);
      return "answer";
    }),
  );
  assert.equal(answer, "answer");
  assert.equal(currentRegion(), getGroundRegion());
});

test("what is allocated outside of regions goes to the ground region", () => {
  const ptr = leaves(() => currentRegion().malloc(100), 1);
  assert.equal(getGroundRegion().ownerOf(ptr), getGroundRegion());
  leaves(() => ambient.free(ptr), -1);
});

test("an error frees what is left, and is passed on", () => {
  const mistake = new Error("mine");
  leaves(() =>
    assert.throws(
      () =>
        enter(kingsley, () => {
          currentRegion().malloc(1000);
          throw mistake;
        }),
      (error) => error === mistake,
    ),
  );
  assert.equal(currentRegion(), getGroundRegion());
});

test("an early return frees what is left", () => {
  const find = (wanted: number) =>
    enter(arena, () => {
      for (let i = 0; i < 10; i++) if (currentRegion().malloc(16) && i === wanted) return i;
      return -1;
    });
  assert.equal(
    leaves(() => find(3)),
    3,
  );
});

test("a layer that does not drop gives its blocks back too", () => {
  leaves(() =>
    enter(stats(), (region) => {
      const ptrs = Array.from({ length: 50 }, (_, i) => region.malloc(i));
      for (const ptr of ptrs.filter((_, i) => i % 3 === 0)) region.free(ptr);
      region.memalign(4096, 10);
      return assert.equal(region.blocks().length, 34);
    }),
  );
});

test("escape keeps data valid after the region ended, as poison shows", () => {
  const poisoned = (source: L.Std) => pipe(source, fill({ freed: 0xdf }), zone());
  const [kept, lost] = leaves(
    () =>
      enter(poisoned, () => {
        const inside = currentRegion().allocString("gone with the region");
        const outside = L.escape(() => currentRegion().allocString("still here"));
        return [outside, inside];
      }),
    1,
  );
  assert.equal(ambient.readString(kept!.ptr, kept!.length), "still here");
  const { ptr, length } = lost!;
  assert.ok(ambient.u8.subarray(ptr, ptr + length).every((byte) => byte === 0xdf));
  assert.throws(() => lost!.array, { code: "ERR_REGION_ENDED" });
  leaves(() => kept!.free(), -1);
});

test("escape leaves one region, nested escapes more, and inner scopes return", () => {
  const labels: string[] = [];
  const note = () => labels.push(currentRegion().label);
  const [a, b, c] = ["a", "b", "c"].map((label) => ({ label }));
  enter(
    arena,
    () =>
      enter(
        arena,
        () =>
          enter(
            arena,
            () => {
              note();
              L.escape(() => {
                note();
                L.escape(note);
                enter(arena, () => L.escape(note), { label: "d" });
                note();
              });
              note();
            },
            c,
          ),
        b,
      ),
    a,
  );
  assert.deepEqual(labels, ["c", "b", "a", "b", "b", "c"]);
  L.escape(() => assert.equal(currentRegion(), getGroundRegion()));
});

test("free and realloc use the region of the block, however far out it is", () => {
  const ground = getGroundRegion();
  const ptr = ground.malloc(8);
  ground.u8.fill(7, ptr, ptr + 8);
  const grown = enter(arena, (outer) => {
    const mine = outer.malloc(100);
    return enter(kingsley, (inner) => {
      assert.equal(inner.ownerOf(mine), outer);
      const moved = inner.realloc(mine, 500);
      assert.equal(inner.ownerOf(moved), outer);
      assert.equal(inner.usableSize(moved), 500);
      inner.free(moved);
      return inner.realloc(ptr, 5000);
    });
  });
  assert.equal(ground.ownerOf(grown), ground);
  assert.ok(ground.u8.subarray(grown, grown + 8).every((byte) => byte === 7));
  leaves(() => enter(arena, () => currentRegion().free(grown)), -1);
});

test("errors name the mistakes with pointers", () => {
  const ended = enter(arena, () => currentRegion().malloc(10));
  const gone = { code: "ERR_REGION_ENDED", message: `free: the region of 0x${ended.toString(16)}` };
  assert.throws(() => currentRegion().free(ended), {
    ...gone,
    message: `${gone.message} has ended`,
  });
  enter(arena, (region) => {
    const ptr = region.malloc(32);
    const at = `0x${ptr.toString(16)}`;
    region.free(ptr);
    const message = `free: ${at} was freed before`;
    assert.throws(() => region.free(ptr), { name: "LayerError", code: "ERR_DOUBLE_FREE", message });
    assert.equal(
      code(() => region.realloc(ptr, 5)),
      "ERR_DOUBLE_FREE",
    );
    const live = region.malloc(64);
    region.u8.fill(0xa5, live, live + 64);
    const foreign = { code: "ERR_NOT_A_BLOCK" };
    const inside = `usableSize: 0x${(live + 32).toString(16)} is not a block of a region`;
    assert.throws(() => region.usableSize(live + 32), { ...foreign, message: inside });
    assert.throws(() => region.free(live + 3), foreign);
    assert.throws(() => region.free(2 ** 32 - 16), foreign);
    assert.throws(() => region.free(-1), RangeError);
    assert.throws(() => region.malloc("1" as never), TypeError);
    region.free(0);
    assert.equal(region.usableSize(0), 0);
  });
});

test("using makes a region current until the end of the block", () => {
  leaves(() => {
    {
      using region = enter(arena, { label: "block" });
      assert.equal(currentRegion(), region);
      currentRegion().malloc(10);
      {
        using inner = enter(stats());
        assert.equal(currentRegion(), inner);
        currentRegion().malloc(10);
      }
      assert.equal(currentRegion(), region);
    }
    assert.equal(currentRegion(), getGroundRegion());
  });
});

test("an open region is current only in runIn, and refuses work after its end", () => {
  const region = L.openRegion(arena, { label: "level" });
  assert.equal(currentRegion(), getGroundRegion());
  assert.equal(L.runIn(region, currentRegion), region);
  assert.notEqual(region.malloc(10), 0);
  region.destroy();
  region.destroy();
  const ended = { code: "ERR_REGION_ENDED", message: 'region "level" has ended' };
  assert.throws(() => region.malloc(10), ended);
  assert.throws(() => region.defer(() => {}), ended);
  assert.equal(
    L.runIn(region, currentRegion),
    getGroundRegion(),
    "the next region around that lives",
  );
});

test("the end of a region ends the regions in it, the latest first, and reports them", () => {
  const order: string[] = [];
  leaves(() => {
    const outer = L.openRegion(arena, { label: "outer" });
    const [a, b] = ["a", "b"].map((label) =>
      L.runIn(outer, () => L.openRegion(stats(), { label })),
    );
    for (const region of [outer, a!, b!]) {
      region.malloc(100);
      region.defer(() => order.push(region.label));
    }
    const message = 'region "outer" ended, and with it the regions in it that were open: "b", "a"';
    assert.throws(() => outer.destroy(), { code: "ERR_REGION_OPEN", message });
    assert.ok(a!.ended && b!.ended);
  });
  assert.deepEqual(order, ["b", "a", "outer"]);
});

test("a pool of the caller's serves one region at a time", () => {
  const pool = pipe(L.outerSource(), stats(), zone());
  leaves(() => {
    for (let i = 0; i < 3; i++) {
      enter(pool, () => {
        currentRegion().malloc(10);
        const message = "enter: the pool zone(16384) serves another region: end that region first";
        assert.throws(() => enter(pool, () => {}), { name: "TypeError", message });
      });
    }
  });
});

test("groundSource bypasses the regions between", () => {
  enter(arena, (outer) => {
    enter(
      () => pipe(L.groundSource(), zone()),
      () => currentRegion().malloc(10),
    );
    assert.equal(outer.stats().allocations, 0);
    enter(zone(), () => currentRegion().malloc(10));
    assert.equal(outer.stats().allocations, 1);
  });
});

test("a region gives all its blocks back even when a layer finds a mistake meanwhile", () => {
  const layer = (source: L.Std) => pipe(source, L.quarantine({ bytes: 100 }));
  const used = () =>
    enter(layer, (region) => {
      const ptr = region.malloc(84);
      for (let i = 0; i < 20; i++) region.malloc(50);
      region.free(ptr);
      region.u8[ptr] = 1;
    });
  leaves(() => assert.throws(used, { code: "ERR_WRITE_AFTER_FREE" }));
});

test("values that are not layers or pools of the memory are refused", () => {
  const aligned = /^buddy needs a source aligned to 65536 bytes; std is aligned to 16$/;
  // @ts-expect-error a region's blocks are aligned to 16
  assert.throws(() => enter(L.buddy(), () => {}), { name: "TypeError", message: aligned });
  const other = pipe(L.std(createHeap()), zone());
  const message =
    /^enter: the pool lies in another memory .*setGroundHeap\(heap\).*outerSource\(\)$/;
  assert.throws(() => enter(other, () => {}), { name: "TypeError", message });
  const layer = /^enter: layer must be a layer or a pool: arena, .*std\(heap\)$/;
  assert.throws(() => enter(undefined as never, () => {}), { name: "TypeError", message: layer });
  assert.throws(() => enter(() => 1 as never), { name: "TypeError", message: layer });
  assert.throws(() => getGroundRegion().destroy(), {
    name: "TypeError",
    message: "the ground region lasts as long as its thread",
  });
  assert.throws(() => L.setGroundHeap(createHeap()), {
    name: "TypeError",
    message: "setGroundHeap: call it before the first use of the ground region",
  });
  assert.equal(currentRegion(), getGroundRegion());
});

test("calloc, memalign, views and strings come from the region", () => {
  leaves(() =>
    enter(fill(), (region) => {
      const zeros = region.calloc(10, 10);
      assert.ok(region.u8.subarray(zeros, zeros + 100).every((byte) => byte === 0));
      assert.equal(region.calloc(2 ** 16, 2 ** 16), 0);
      for (const alignment of [1, 16, 64, 4096, 65536]) {
        const ptr = region.memalign(alignment, 100);
        assert.equal(ptr % alignment, 0);
        assert.equal(region.usableSize(ptr), 100);
        region.u8.fill(1, ptr, ptr + 100);
        const moved = region.realloc(ptr, 1000);
        assert.equal(region.u8[moved + 99], 1);
        if (alignment !== 64) region.free(moved);
      }
      const xs = region.allocArray(Float64Array, 3).set([1, 2, 3]);
      region.malloc(5e6); // the memory moves
      assert.deepEqual([...xs], [1, 2, 3]);
      assert.equal(region.f64[xs.ptr / 8 + 1], 2);
      assert.equal(
        region.readString(region.allocString("grüße", { terminate: true }).ptr),
        "grüße",
      );
      for (const name of ["i8", "i16", "u16", "i32", "f32", "i64", "u64"] as const) {
        assert.equal(region[name].buffer, region.buffer);
      }
    }),
  );
});

test("allocation returns 0 when memory is out; arrays and strings throw", () => {
  enter(L.limit(1000), (region) => {
    const ptr = region.malloc(500);
    assert.equal(region.malloc(600), 0);
    assert.equal(region.realloc(ptr, 900), 0);
    assert.equal(region.memalign(64, 600), 0);
    assert.throws(() => region.allocArray(Uint8Array, 600), { code: "ERR_OUT_OF_MEMORY" });
    assert.throws(() => region.allocString("x".repeat(600)), { code: "ERR_OUT_OF_MEMORY" });
  });
});
