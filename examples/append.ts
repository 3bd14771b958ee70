/** An array from outside of a region grows inside of it: the region library's first example. */
import {
  arena,
  check,
  currentRegion,
  enter,
  escape,
  formatTree,
  outerSource,
  pipe,
  stats,
} from "terrane/layers";
import { ScalarArray } from "terrane/managed";

/** A new array with the numbers of both, in the current region. */
function joined(a: ScalarArray, b: ScalarArray): ScalarArray {
  const both = new ScalarArray("i32");
  both.push(...a, ...b);
  return both;
}

export function append(_args: string[], print: (line: string) => void): void {
  let xs = new ScalarArray("i32");
  const show = (where: string) => print(`${where}: [${[...xs].join(", ")}], ${xs.length} numbers`);
  show("before the region");
  const pool = pipe(outerSource(), stats(), check(), arena, stats());
  xs = enter(
    pool,
    () => {
      const ys = new ScalarArray("i32");
      for (let i = 0; i < 5; i++) ys.push(i);
      const first = escape(() => joined(xs, ys));
      const zs = new ScalarArray("i32");
      for (let i = 0; i < 5; i++) zs.push(i + 10 * i);
      const second = escape(() => joined(first, zs));
      first.free();
      print(formatTree(pool));
      return second;
    },
    { label: "append" },
  );
  show("after the region");
  xs.free();
  print(`left in the region around: ${currentRegion().stats().bytes} bytes`);
}
