/** A small allocator as text, whose parts tests replace by ones that are wrong. */
import { wat } from "./wat.js";

/** Size classes are powers of two; a block has its class 8 bytes before it. */
const right = {
  malloc: `(func $malloc (export "a") (param $n i32) (result i32) (local $c i32) (local $p i32)
    (if (i32.gt_u (local.get $n) (i32.const 0x1000000)) (then (return (i32.const 0))))
    (local.set $c (i32.sub (i32.const 32)
      (i32.clz (i32.or (i32.const 15) (i32.add (local.get $n) (i32.const 7))))))
    (local.set $p (i32.load (i32.add (i32.const 1032) (i32.shl (local.get $c) (i32.const 2)))))
    (if (local.get $p) (then
      (i32.store (i32.add (i32.const 1032) (i32.shl (local.get $c) (i32.const 2)))
        (i32.load (local.get $p)))
      (return (local.get $p))))
    (local.set $p (call $sbrk (i32.shl (i32.const 1) (local.get $c))))
    (if (i32.eqz (local.get $p)) (then (return (i32.const 0))))
    (i32.store (local.get $p) (local.get $c))
    (i32.add (local.get $p) (i32.const 8)))`,
  free: `(func $free (export "b") (param $p i32) (local $head i32)
    (if (i32.eqz (local.get $p)) (then (return)))
    (local.set $head (i32.add (i32.const 1032)
      (i32.shl (i32.load (i32.sub (local.get $p) (i32.const 8))) (i32.const 2))))
    (i32.store (local.get $p) (i32.load (local.get $head)))
    (i32.store (local.get $head) (local.get $p)))`,
  sbrk: `(func $sbrk (param $n i32) (result i32) (local $p i32) (local $top i32)
    (local.set $p (i32.load (i32.const 1024)))
    (if (i32.eqz (local.get $p)) (then (local.set $p (i32.const 65536))))
    (local.set $top (i32.add (local.get $p) (local.get $n)))
    (if (i32.gt_u (local.get $top) (i32.shl (memory.size) (i32.const 16))) (then
      (if (i32.eq (i32.const -1) (memory.grow (i32.const 16))) (then (return (i32.const 0))))))
    (i32.store (i32.const 1024) (local.get $top))
    (local.get $p))`,
  realloc: `(func $realloc (export "c") (param $p i32) (param $n i32) (result i32)
    (local $q i32) (local $old i32)
    (local.set $q (call $malloc (local.get $n)))
    (if (i32.eqz (local.get $p)) (then (return (local.get $q))))
    (local.set $old (call $usable (local.get $p)))
    (memory.copy (local.get $q) (local.get $p) (select (local.get $n) (local.get $old)
      (i32.lt_u (local.get $n) (local.get $old))))
    (call $free (local.get $p))
    (local.get $q))`,
  calloc: `(func $calloc (export "d") (param $k i32) (param $n i32) (result i32) (local $p i32)
    (local.set $n (i32.mul (local.get $k) (local.get $n)))
    (local.set $p (call $malloc (local.get $n)))
    (memory.fill (local.get $p) (i32.const 0) (local.get $n))
    (local.get $p))`,
  usable: `(func $usable (export "e") (param $p i32) (result i32)
    (i32.sub (i32.shl (i32.const 1) (i32.load (i32.sub (local.get $p) (i32.const 8))))
      (i32.const 8)))`,
  more: "",
};

/** Parts of the allocator that are replaced by others. */
export type ToyParts = Partial<typeof right>;

/**
 * The module with some parts replaced. Exports: a malloc, b free, c realloc, d calloc,
 * e malloc_usable_size.
 */
export function toyAllocator(parts: ToyParts = {}): Uint8Array<ArrayBuffer> {
  const all = { ...right, ...parts };
  return wat(`(module (memory 2) (data (i32.const 16) "data") ${Object.values(all).join("\n")})`);
}
