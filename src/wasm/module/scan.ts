/** One pass over all code: checks that blocks nest, and collects calls and other facts. */
import { CodeReader } from "./code.ts";
import { damaged } from "./errors.ts";
import type { Body, CodeFacts } from "./module.ts";
import { CALLS_INDIRECT as INDIRECT, RULE } from "./opcode-row.ts";
import { byteValues, depthChange, op, opcodeOf } from "./opcodes.ts";

/** The function calls through a table or a reference. */
export const CALLS_INDIRECT = 1;
/** The function has memory.grow. */
export const GROWS = 2;
/** The function looks for zero bytes a word at a time, as strlen does. */
export const WORD_SCAN = 4;
/** The function looks at 16 bytes at a time. */
export const VECTOR_SCAN = 8;
/** The function touches memory. */
export const TOUCHES = 16;

/** Constants of the code that looks for a zero byte in a word of 32 or 64 bits. */
const HIGH_BITS = -2139062144;
const HIGH_BITS_64 = HIGH_BITS * 2 ** 32;
/** Constants of 64 bits are read as doubles, so only the upper half is compared. */
const ROUNDING = 2 ** 33;

/** The flags that an instruction of one byte sets for its function. */
const byteFlags = Uint8Array.from(
  byteValues(({ access, control, code }) => {
    if (control & INDIRECT) return CALLS_INDIRECT;
    if (code === op.memoryGrow) return GROWS;
    return access === undefined ? 0 : TOUCHES;
  }),
);

/** @throws ModuleError when a function's code is damaged. */
export function codeScan(
  bytes: Uint8Array,
  bodies: readonly Body[],
  firstIndex: number,
  functions: number,
): CodeFacts {
  const flags = new Uint8Array(bodies.length);
  const calls = bodies.map((body, i) => {
    const reader = new CodeReader(bytes, body.code, body.end, `function ${firstIndex + i}`);
    const callees: number[] = [];
    flags[i] = bodyScan(reader, callees, functions);
    return callees;
  });
  return { calls, flags };
}

function bodyScan(reader: CodeReader, callees: number[], functions: number): number {
  let depth = 1;
  let flags = 0;
  while (depth > 0) {
    reader.next();
    const code = reader.op;
    if (code > 0xff) {
      flags |= prefixedFlags(code);
      continue;
    }
    depth += depthChange[code] as number;
    flags |= byteFlags[code] as number;
    if (code === op.call || code === op.returnCall || code === op.refFunc) {
      if (reader.index >= functions) {
        throw damaged(reader.start, `${reader.what}: there is no function ${reader.index}`);
      }
      if (code !== op.refFunc) callees.push(reader.index);
    } else if (code === op.i32Const) {
      if (reader.value === HIGH_BITS) flags |= WORD_SCAN;
    } else if (code === op.i64Const) {
      if (Math.abs(reader.value - HIGH_BITS_64) < ROUNDING) flags |= WORD_SCAN;
    }
  }
  if (!reader.done) throw damaged(reader.at, `${reader.what} has code behind its end`);
  return flags;
}

/** Vector code looks whether a byte was found with any_true, all_true or bitmask. */
function prefixedFlags(code: number): number {
  if (code === op.v128AnyTrue || code === op.i8x16AllTrue || code === op.i8x16Bitmask) {
    return VECTOR_SCAN;
  }
  const { access, rule } = opcodeOf(code);
  return access !== undefined || rule === RULE.range ? TOUCHES : 0;
}
