/** What a caller says of a block, compared with what the block was asked for with. */
import { alignmentMismatch, sizeMismatch } from "../report/mistakes.ts";
import type { Report } from "../report/report.ts";
import type { Stacks } from "../report/stack-table.ts";
import type { Block } from "../store/block.ts";
import type { Detectors } from "../store/detectors.ts";
import type { Given } from "../store/request.ts";

interface Claim {
  readonly call: string;
  readonly block: Block;
  readonly given: Given;
  readonly stack: number;
}

export function compareGiven(
  stacks: Stacks,
  { call, block, given, stack }: Claim,
  detectors: Detectors,
): Report[] {
  const { size, alignment } = given;
  const reports: Report[] = [];
  if (size !== undefined && size !== block.size && detectors.sizeMismatch) {
    reports.push(sizeMismatch(stacks, call, block, size, stack));
  }
  if (alignment !== undefined && alignment !== block.alignment && detectors.alignmentMismatch) {
    reports.push(alignmentMismatch(stacks, call, block, alignment, stack));
  }
  return reports;
}
