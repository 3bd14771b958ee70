/**
 * Size classes: every size is compared with a table that is built by counting, without bit tricks.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as L from "#src/core/layout/layout.js";
import { backEnds, coreSubject } from "../../support/core.js";

/**
 * [bin, block size]: 8, multiples of 16 to 64, then quarters of each doubling to 1 KiB as in
 * mimalloc, and eighths from there to 8 KiB.
 */
function classTable(): [number, number][] {
  const table: [number, number][] = [
    [1, 8],
    [2, 16],
    [4, 32],
    [6, 48],
    [8, 64],
  ];
  let bin = 9;
  for (let from = 64; from < L.SMALL_MAX; from *= 2) {
    const parts = from < 1024 ? 4 : 8;
    for (let part = 1; part <= parts; part++) table.push([bin++, from + (part * from) / parts]);
  }
  return table;
}

const classes = classTable();

for (const backEnd of backEnds) {
  test(`${backEnd}: row 107: bin formula - binOf, binSize and goodSize of every size that has a class`, () => {
    const { core } = coreSubject(backEnd);
    let at = 0;
    for (let size = 0; size <= L.SMALL_MAX; size++) {
      if (size > classes[at]![1]) at++;
      const [bin, block] = classes[at]!;
      assert.equal(core.binOf(size), bin, `binOf(${size})`);
      assert.equal(core.binSize(bin), block, `binSize(${bin})`);
      assert.equal(core.goodSize(size), block, `goodSize(${size})`);
    }
    assert.equal(at, classes.length - 1);
    assert.equal(classes.at(-1)![0], L.BIN_LAST);
  });

  test(`${backEnd}: a class size is its own good size, one more is the next class`, () => {
    const { core } = coreSubject(backEnd);
    for (let at = 0; at + 1 < classes.length; at++) {
      const size = classes[at]![1];
      assert.equal(core.goodSize(size), size);
      assert.equal(core.goodSize(size + 1), classes[at + 1]![1]);
      assert.ok(size <= 8 || size % 16 === 0, `${size} keeps blocks aligned to 16`);
    }
    const whole = Math.ceil((L.MEDIUM_MAX + 1) / L.SLICE_SIZE) * L.SLICE_SIZE;
    assert.equal(core.goodSize(L.MEDIUM_MAX + 1), whole);
  });

  test(`${backEnd}: medium blocks are whole units of 2 KiB`, () => {
    const { core } = coreSubject(backEnd);
    for (let size = L.SMALL_MAX + 1; size <= L.MEDIUM_MAX; size++) {
      assert.equal(core.goodSize(size), Math.ceil(size / L.UNIT_SIZE) * L.UNIT_SIZE);
    }
  });

  test(`${backEnd}: at most a fifth of a block is slack, from 1 to 8 KiB a ninth`, () => {
    const { core } = coreSubject(backEnd);
    for (let size = 65; size <= L.MEDIUM_MAX; size++) {
      const good = core.goodSize(size);
      const parts = size <= 1024 || size > L.SMALL_MAX ? 5 : 9;
      assert.ok((good - size) * parts <= good, `goodSize(${size}) = ${good}`);
    }
  });

  test(`${backEnd}: goodSize never falls, and above 64 KiB is whole slices`, () => {
    const { core } = coreSubject(backEnd);
    let last = 0;
    for (let size = 0; size < L.SIZE_MAX; size += 1 + (size >>> 8)) {
      const good = core.goodSize(size);
      assert.ok(good >= size && good >= last, `goodSize(${size}) = ${good}`);
      if (size > L.MEDIUM_MAX) {
        assert.equal(good, Math.ceil(size / L.SLICE_SIZE) * L.SLICE_SIZE, `goodSize(${size})`);
      }
      last = good;
    }
    assert.equal(core.goodSize(L.SIZE_MAX), 0x80000000);
  });

  test(`${backEnd}: usable size of malloc(n) is goodSize(n)`, () => {
    const { core } = coreSubject(backEnd);
    for (let size = 0; size <= 3 * L.MEDIUM_MAX; size += size < 5000 ? 1 : 37) {
      const p = core.malloc(size);
      assert.equal(core.usableSize(p), core.goodSize(size), `malloc(${size})`);
      core.free(p);
    }
    for (const [, size] of classes) {
      for (const near of [size - 1, size, size + 1]) {
        const p = core.malloc(near);
        assert.equal(core.usableSize(p), core.goodSize(near), `malloc(${near})`);
        core.free(p);
      }
    }
  });

  test(`${backEnd}: row 107: bin formula - spanBin is exact to 7 slices, then four bins for each doubling`, () => {
    const { core } = coreSubject(backEnd);
    // The longest run of each bin from 1 on (specification 9.2).
    const longest = [1, 2, 3, 4, 5, 6, 7, 10, 12, 14, 16, 20, 24, 28, 32, 40];
    while (longest.at(-1)! < 65535) {
      const n = longest.length;
      longest.push(longest[n - 4]! * 2);
    }
    let bin = 1;
    for (let count = 1; count <= 65535; count++) {
      if (count > longest[bin - 1]!) bin++;
      assert.equal(core.spanBin(count), bin, `spanBin(${count})`);
    }
  });
}
