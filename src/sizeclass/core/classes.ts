/**
 * Sizes and their classes: LLVM's SizeClassMap. Up to 2^mid in steps of 2^min, from there
 * 2^(bits - 1) classes a doubling, up to 2^max.
 */
import { leadingZeros } from "../../core/target/glue.ts";

let minLog: u32 = 4;
let minLess: u32 = 15;
let midSize: u32 = 256;
let midLog: u32 = 8;
/** Class of 2^mid. */
let midClass: u32 = 16;
/** bits - 1, and 2^(bits - 1) - 1. */
let stepLog: u32 = 2;
let stepMask: u32 = 3;

export let sizeLast: u32 = 131072;
/** Number of classes, with class 0. */
export let classes: u32 = 53;

export function classesBind(bits: u32, min: u32, mid: u32, max: u32): void {
  minLog = min;
  minLess = ((1 << min) >>> 0) - 1;
  midLog = mid;
  midSize = (1 << mid) >>> 0;
  midClass = midSize >>> min;
  stepLog = bits - 1;
  stepMask = ((1 << stepLog) >>> 0) - 1;
  sizeLast = (1 << max) >>> 0;
  classes = midClass + (((max - mid) << stepLog) >>> 0) + 1;
}

/** The class whose chunks hold `size` bytes, which must be at most `sizeLast`; 0 for 0. */
export function classOf(size: u32): u32 {
  return size <= midSize ? (size + minLess) >>> minLog : classAbove(size);
}

function classAbove(size: u32): u32 {
  const top: u32 = 31 - leadingZeros(size);
  const step: u32 = top - stepLog;
  const within: u32 = (size >>> step) & stepMask;
  const below: u32 = (size & (((1 << step) >>> 0) - 1)) >>> 0;
  const whole: u32 = midClass + (((top - midLog) << stepLog) >>> 0) + within;
  return below === 0 ? whole : whole + 1;
}

/** Bytes of the chunks of a class. */
export function classSize(cls: u32): u32 {
  if (cls <= midClass) return (cls << minLog) >>> 0;
  const above: u32 = cls - midClass;
  const doubling: u32 = (midSize << (above >>> stepLog)) >>> 0;
  return doubling + (doubling >>> stepLog) * (above & stepMask);
}

/** LLVM's ClassID: 0 for sizes that no class holds. */
export function classId(size: u32): u32 {
  return size > sizeLast ? 0 : classOf(size);
}
