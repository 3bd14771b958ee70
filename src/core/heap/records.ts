/**
 * The record at the end of each block of a heap with padding or canary; layout.ts has the drawing.
 *
 *   requested bytes + slack + 8 == bytes from the returned pointer to the end of the block
 *
 * The canary seals the returned pointer and not, as in mimalloc, the block's address: so a record
 * also identifies interior pointers of blocks where alignment has moved the returned pointer.
 */

import { featureOn } from "../hard/features.ts";
import { pageSeal, pageUnseal } from "../hard/links.ts";
import * as L from "../layout/layout.ts";
import { mediumSize } from "../pages/medium.ts";
import { atomicCas, atomicLoad } from "../target/atomics.ts";
import { load8, load32, mul32, store8, store32 } from "../target/glue.ts";
import { hostReport, memoryFill } from "../target/glue-hard.ts";
import { blockIsListed } from "./lists.ts";

/** Bytes of the block that begins at `block`, including its record. */
export function blockBytes(page: usize, block: usize): usize {
  const medium: bool = (load32(page, L.D_OWNER) & L.FLAG_MEDIUM) !== 0;
  return medium ? mediumSize(page, block) : load32(page, L.D_BLOCK);
}

function recordOf(page: usize, block: usize): usize {
  return block + blockBytes(page, block) - L.RECORD_SIZE;
}

/** Below some hundred bytes the call behind memory.fill costs more than a loop. */
const FILL_LOOP_MAX: u32 = 128;

/** Fills `size` bytes from the start of a block, or from the end of the requested bytes. */
export function bytesFill(from: usize, value: u32, size: usize): void {
  if (size > FILL_LOOP_MAX) {
    memoryFill(from, value, size);
    return;
  }
  const end: usize = from + size;
  let p: usize = from;
  while (p < end && (p & 3) !== 0) {
    store8(p, 0, value);
    p = p + 1;
  }
  const word: u32 = mul32(value, 0x01010101);
  while (p + 4 <= end) {
    store32(p, 0, word);
    p = p + 4;
  }
  while (p < end) {
    store8(p, 0, value);
    p = p + 1;
  }
}

function slackSeen(delta: u32): u32 {
  return delta < L.SLACK_MAX ? delta : L.SLACK_MAX;
}

/** Writes the record of a block: the program owns `size` bytes from p on. */
export function recordWrite(page: usize, block: usize, p: usize, size: usize): void {
  const record: usize = recordOf(page, block);
  const delta: u32 = record - p - size;
  store32(record, L.R_CANARY, pageSeal(page, p));
  store32(record, L.R_DELTA, delta);
  if (featureOn(L.HARD_PADDING)) bytesFill(p + size, L.FILL_SLACK, slackSeen(delta));
}

/** One past the program's last byte; if the record is destroyed, the address of the record. */
export function recordEnd(page: usize, block: usize): usize {
  const record: usize = recordOf(page, block);
  const delta: u32 = load32(record, L.R_DELTA);
  return delta <= record - block ? record - delta : record;
}

/** Whether p, in a block of a page with FLAG_ALIGNED, is the block: PTR_BLOCK or PTR_INTERIOR. */
export function recordPointer(page: usize, block: usize, p: usize): u32 {
  const record: usize = recordOf(page, block);
  const word: u32 = load32(record, L.R_CANARY);
  const seal: u32 = pageSeal(page, p);
  if (word === seal || word === ~seal >>> 0) return L.PTR_BLOCK;
  const owner: usize = pageUnseal(page, word);
  if (owner >= block && owner <= record) return L.PTR_INTERIOR;
  const last: usize = pageUnseal(page, ~word >>> 0);
  return last >= block && last <= record ? L.PTR_INTERIOR : L.PTR_BLOCK;
}

/** Whether the record says that the block has been freed. */
export function recordIsFreed(page: usize, block: usize, p: usize): bool {
  return atomicLoad(recordOf(page, block), L.R_CANARY) === ~pageSeal(page, p) >>> 0;
}

const INTACT: u32 = 0xffffffff;

/** Offset from p of the first byte behind the program's that was overwritten, if that shows. */
function recordFault(record: usize, p: usize, word: u32, seal: u32): u32 {
  const most: usize = record - p;
  const delta: u32 = load32(record, L.R_DELTA);
  if (delta > most || (featureOn(L.HARD_CANARY) && word !== seal)) return most;
  if (!featureOn(L.HARD_PADDING)) return INTACT;
  const seen: u32 = slackSeen(delta);
  for (let i: u32 = 0; i < seen; i++) {
    if (load8(record - delta + i, 0) !== L.FILL_SLACK) return most - delta + i;
  }
  return INTACT;
}

/** If the record itself is damaged, the size of the block is unknown. */
function faultReport(record: usize, p: usize, fault: u32): void {
  const most: usize = record - p;
  const size: usize = fault === most ? most : most - load32(record, L.R_DELTA);
  hostReport(L.REPORT_OVERFLOW, p, size, fault);
}

/** Reports overwritten bytes behind a block that stays in use. */
export function recordCheck(page: usize, block: usize, p: usize): void {
  const record: usize = recordOf(page, block);
  const fault: u32 = recordFault(record, p, atomicLoad(record, L.R_CANARY), pageSeal(page, p));
  if (fault !== INTACT) faultReport(record, p, fault);
}

/**
 * Checks the record of a block that is being freed and marks it. Returns false, after a report, if
 * it was marked before. The mark is set by compare-and-swap, so of two threads that free one block
 * one gets the report, even if neither owns the page. If the mark was overwritten, the lists are
 * searched. A fault in a record that another thread is marking means that the other thread has
 * freed the block. Everything is reported before anything changes.
 */
export function recordClose(page: usize, block: usize, p: usize): bool {
  const record: usize = recordOf(page, block);
  const twice: bool = featureOn(L.HARD_DOUBLE_FREE);
  const seal: u32 = pageSeal(page, p);
  const freed: u32 = ~seal >>> 0;
  const word: u32 = atomicLoad(record, L.R_CANARY);
  if (twice && word !== seal && (word === freed || blockIsListed(page, block))) {
    return freedBefore(page, block);
  }
  const fault: u32 = recordFault(record, p, word, seal);
  if (fault !== INTACT) {
    if (twice && atomicLoad(record, L.R_CANARY) !== word) return freedBefore(page, block);
    faultReport(record, p, fault);
  }
  if (twice && !atomicCas(record, L.R_CANARY, word, freed)) return freedBefore(page, block);
  return true;
}

function freedBefore(page: usize, block: usize): bool {
  hostReport(L.REPORT_DOUBLE_FREE, block, blockBytes(page, block) - L.RECORD_SIZE, 0);
  return false;
}
