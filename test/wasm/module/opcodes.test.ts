/**
 * The table of instructions against the reader and the engine: each row is encoded and read back;
 * the engine validates its operands and results, and runs its access at the end of a memory.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CodeReader } from "#src/wasm/module/code.js";
import { ModuleError } from "#src/wasm/module/errors.js";
import * as row from "#src/wasm/module/opcode-row.js";
import { opcodeTable } from "#src/wasm/module/opcode-table.js";
import { accessOf, depthChange, op, opcodeOf, PREFIXES } from "#src/wasm/module/opcodes.js";
import { F32, F64, FUNCREF, I32, I64, V128 } from "#src/wasm/module/value-types.js";
import { checked, leb, moduleOf, section } from "../support/fixtures.js";

type Opcode = row.Opcode;

/** An instruction of every form of immediates; indices are 0, alignments 1. */
const IMMEDIATES: Readonly<Record<number, readonly number[]>> = {
  [row.NOTHING]: [],
  [row.BLOCK_TYPE]: [0x40],
  [row.INDEX]: [0],
  [row.TWO_INDICES]: [0, 0],
  [row.BR_TABLE]: [2, 0, 0, 0],
  [row.MEMARG]: [0, 0],
  [row.CONST_32]: [2],
  [row.CONST_64]: [2],
  [row.FOUR_BYTES]: [0, 0, 0x80, 0x3f],
  [row.EIGHT_BYTES]: [0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
  [row.TYPES]: [1, I32],
  [row.TRY_TABLE]: [0x40, 2, 0, 0, 0, 2, 0],
  [row.HEAP_TYPE]: [FUNCREF],
  [row.SIXTEEN_BYTES]: new Array<number>(16).fill(1),
  [row.MEMARG_LANE]: [0, 0, 0],
  [row.LANE]: [0],
};

function encoded({ code, access, immediates }: Opcode): number[] {
  const bytes = code < 0x100 ? [code] : [code >>> 12, ...leb(code & 0xfff)];
  const isAtomic = code >>> 12 === 0xfe;
  const [first, ...rest] = IMMEDIATES[immediates] as readonly number[];
  if (first === undefined) return bytes;
  // Atomic accesses must name their natural alignment; notify has that of 4 bytes.
  const align = isAtomic && immediates === row.MEMARG ? Math.log2(access?.size ?? 4) : first;
  return [...bytes, align, ...rest];
}

function read(bytes: readonly number[]): CodeReader {
  const reader = new CodeReader(Uint8Array.from(bytes));
  reader.next();
  return reader;
}

test("every row has a name and a code of its own, and complete facts", () => {
  assert.equal(new Set(opcodeTable.map((each) => each.code)).size, opcodeTable.length);
  assert.equal(new Set(opcodeTable.map((each) => each.name)).size, opcodeTable.length);
  for (const each of opcodeTable) {
    assert.match(each.name, /^[a-z]\w*(\.\w+)*$/);
    assert.ok(each.immediates in IMMEDIATES, each.name);
    assert.equal(each.pops === undefined, each.pushes === undefined, each.name);
    if (each.access) assert.equal(each.pops?.[0], I32, `${each.name}: no address`);
    if (each.access) assert.deepEqual(each.access.operands, each.pops?.slice(1), each.name);
    const isVector = each.code >>> 12 === 0xfd;
    const types = [...(each.pops ?? []), ...(each.pushes ?? [])];
    const isNumber = types.length > 1 && types.every((type) => type >= F64 && type <= I32);
    if (row.isNumeric(each)) {
      assert.equal(each.pushes.length, 1, each.name);
      assert.equal(each.access, undefined, each.name);
    } else if (isNumber && !each.access && !isVector) {
      assert.ok(/^(memory|table|br_if)/.test(each.name), `${each.name} has no numeric rule`);
    }
  }
});

test("the reader reads back every row, and knows no other instruction", () => {
  const codes = Array.from({ length: 256 }, (_, code) => code).filter(
    (code) => !PREFIXES.includes(code),
  );
  for (const prefix of PREFIXES) {
    for (let number = 0; number < 0x400; number++) codes.push((prefix << 12) | number);
  }
  const known = new Map(opcodeTable.map((each) => [each.code, each]));
  for (const code of codes) {
    const each = known.get(code);
    const start = code < 0x100 ? [code] : [code >>> 12, ...leb(code & 0xfff)];
    if (each === undefined) {
      const unknown = () => read([...start, ...new Array<number>(20).fill(0)]);
      assert.throws(unknown, ModuleError, `0x${code.toString(16)} is read`);
      continue;
    }
    const bytes = encoded(each);
    const reader = read([...bytes, 0x0b]);
    assert.deepEqual([reader.op, reader.at], [code, bytes.length], each.name);
    assert.equal(opcodeOf(code), each);
    assert.equal(accessOf(code), each.access);
    assert.throws(() => read(bytes.slice(0, -1)), ModuleError, `${each.name}, cut short`);
    known.delete(code);
  }
  assert.equal(known.size, 0);
});

test("opcodes that code names are those of the table", () => {
  const names = new Map(opcodeTable.map(({ code, name }) => [code, name]));
  for (const [key, code] of Object.entries(op)) {
    const name = names.get(code) as string;
    assert.equal(
      key,
      name.replace(/[._](\w)/g, (_, letter: string) => letter.toUpperCase()),
    );
  }
});

test("blocks open and close where the text format has them", () => {
  const by = (change: number) =>
    opcodeTable.filter(({ code }) => code < 0x100 && depthChange[code] === change);
  const names = (rows: readonly Opcode[]) => rows.map(({ name }) => name);
  assert.deepEqual(names(by(1)), ["block", "loop", "if", "try", "try_table"]);
  assert.deepEqual(names(by(-1)), ["end", "delegate"]);
});

/** Constants of a type: its bytes in code. */
const CONSTANTS: Readonly<Record<number, readonly number[]>> = {
  [I32]: [0x41, 2],
  [I64]: [0x42, 2],
  [F32]: [0x43, 0, 0, 0x80, 0x3f],
  [F64]: [0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
  [V128]: [0xfd, 0x0c, ...new Array<number>(16).fill(1)],
  [FUNCREF]: [0xd0, FUNCREF],
  [row.ANY]: [0x41, 2],
};

/**
 * Functions (i32) → `results`, exported as "0" and so on, in a module that has one of everything.
 */
function moduleWith(bodies: readonly (readonly number[])[], results: readonly number[] = []) {
  const codes = bodies.map((body) => [1, 1, V128, ...body, 0x0b]);
  const names = bodies.map((_, i) => [...new TextEncoder().encode(String(i))]);
  const count = leb(bodies.length);
  return moduleOf(
    section(1, 1, 0x60, 1, I32, results.length, ...results),
    section(3, ...count, ...bodies.map(() => 0)),
    section(4, 1, FUNCREF, 0, 4),
    section(5, 1, 3, 1, 1),
    section(6, 1, I32, 1, 0x41, 0, 0x0b),
    section(
      7,
      ...leb(bodies.length + 1),
      ...[1, 0x6d, 2, 0],
      ...names.flatMap((name, i) => [name.length, ...name, 0, ...leb(i)]),
    ),
    section(9, 1, 3, 0, 1, 0),
    section(12, 1),
    section(10, ...count, ...codes.flatMap((code) => [...leb(code.length), ...code])),
    section(11, 1, 1, 4, 1, 2, 3, 4),
  );
}

const push = (types: readonly number[]) => types.flatMap((type) => CONSTANTS[type] ?? []);

/** What is left of any type is an i32 here: operands of any type are. */
function leaves(each: Opcode): number[] {
  return (each.pushes as readonly number[]).map((type) => (type === row.ANY ? I32 : type));
}

/** Instructions that this engine may be too old for. */
const NEW = /^(ref\.(eq|as_non_null)|.*relaxed_.*)$/;

test("the engine agrees on operands and results", () => {
  let count = 0;
  for (const each of opcodeTable) {
    if (each.pops === undefined || each.name === "ref.eq") continue;
    const code = encoded(each);
    const valid = (pops: readonly number[], pushes: readonly number[]) =>
      WebAssembly.validate(moduleWith([[...push(pops), ...code]], pushes));
    const results = leaves(each);
    if (!valid(each.pops, results) && NEW.test(each.name)) continue;
    assert.ok(valid(each.pops, results), each.name);
    count++;
    const other = (type: number) => (type === I32 || type === row.ANY ? I64 : I32);
    each.pops.forEach((type, i) => {
      if (type === row.ANY && each.name === "drop") return;
      const wrong = each.pops?.with(i, other(type)) as number[];
      assert.ok(!valid(wrong, results), `${each.name}: operand ${i} of another type`);
    });
    assert.ok(!valid(each.pops.slice(1), results) || each.pops.length === 0, each.name);
    assert.ok(!valid(each.pops, [...results, I32]), `${each.name}: one result more`);
    if (results[0] === undefined) continue;
    assert.ok(!valid(each.pops, [other(results[0])]), `${each.name}: a result of another type`);
  }
  assert.ok(count > 400, `${count} instructions`);
});

/** An access with its address as a parameter; its last operand is 2, others before are 0. */
function accessBody(each: Opcode): number[] {
  const { operands } = each.access as row.Access;
  const isWait = each.name.includes(".wait");
  const values = operands.flatMap((type, i) => {
    const constant = CONSTANTS[type] as readonly number[];
    // Wait sleeps while the value is 0: with a time of 0, for no time at all.
    const isLast = i === operands.length - 1 && !isWait;
    return isLast ? constant : constant.map((byte, at) => (at === 0 ? byte : 0));
  });
  const drops = (each.pushes as readonly number[]).map(() => 0x1a);
  return [0x20, 0, ...values, ...encoded(each), ...drops];
}

test("accesses have their width, and write or do not", () => {
  const END = 65536;
  const accesses = opcodeTable.filter((each) => each.access);
  const module = new WebAssembly.Module(moduleWith(accesses.map(accessBody)));
  const { exports } = new WebAssembly.Instance(module);
  const bytes = new Uint8Array((exports.m as WebAssembly.Memory).buffer);
  accesses.forEach((each, i) => {
    const run = exports[i] as (address: number) => void;
    const { size, write } = each.access as row.Access;
    run(END - size);
    const behind = END - size + Math.ceil(size / 2);
    assert.throws(() => run(behind), WebAssembly.RuntimeError, `${each.name} is narrower`);
    const changes = [0, 0x55].map((fill) => {
      bytes.fill(fill);
      run(END - size);
      return bytes.findIndex((byte) => byte !== fill);
    });
    const changed = changes.filter((at) => at >= 0);
    assert.equal(changed.length > 0, write, `${each.name} writes`);
    assert.ok(
      changed.every((at) => at >= END - size),
      each.name,
    );
  });
  assert.ok(accesses.length > 100);
});

/** From a value of a type to an i32 that is not 0, or is open, where the value is. */
const AS_CONDITION: Readonly<Record<number, readonly number[]>> = {
  [I32]: [],
  [I64]: [0x50],
  [F32]: [0xbc],
  [F64]: [0xbd, 0x50],
};

const LOADS: Readonly<Record<number, number>> = {
  [I32]: 0x28,
  [I64]: 0x29,
  [F32]: 0x2a,
  [F64]: 0x2b,
};

/** i32.const of an address, in three bytes. */
const at = (address: number) => [0x41, (address & 0x7f) | 0x80, ((address >>> 7) & 0x7f) | 0x80, 0];

/** Each row reads from addresses of its own: what is undefined is reported once for an address. */
const addressOf = (i: number) => 1024 + 32 * i;

/** Functions with definedness followed, one for each row; `count` runs one and counts reports. */
function followed(rows: readonly Opcode[], bodyOf: (each: Opcode, address: number) => number[]) {
  const bytes = moduleWith(rows.map((each, i) => bodyOf(each, addressOf(i))));
  const { checker, exports } = checked(bytes, { uninitialised: true });
  const { definedStart, originStart } = checker.instrumented.layout;
  const memory = new DataView(checker.memory.buffer);
  return {
    memory,
    undefine(address: number): void {
      memory.setBigUint64(definedStart + address, -1n, true);
      memory.setUint32(originStart + address, 1, true);
    },
    count(i: number): number {
      const before = checker.reports.length;
      exports[i]?.(0);
      return checker.reports.length - before;
    },
  };
}

test("a number that is computed from undefined bits only is undefined", () => {
  const rows = opcodeTable.filter(row.isNumeric);
  const body = (each: Opcode, address: number) => {
    const loads = (each.pops as readonly number[]).flatMap((type, i) => {
      return [...at(address + 16 * i), LOADS[type] as number, 0, 0];
    });
    const condition = AS_CONDITION[each.pushes?.[0] as number] as readonly number[];
    return [...loads, ...encoded(each), ...condition, 0x04, 0x40, 0x0b];
  };
  const { memory, undefine, count } = followed(rows, body);
  rows.forEach((each, i) => {
    const addresses = [addressOf(i), addressOf(i) + 16];
    each.pops.forEach((type, operand) => {
      const address = addresses[operand] as number;
      if (type === F32) memory.setFloat32(address, 3, true);
      else if (type === F64) memory.setFloat64(address, 3, true);
      else memory.setBigUint64(address, 3n, true);
    });
    assert.equal(count(i), 0, each.name);
    for (const address of addresses) undefine(address);
    assert.equal(count(i), 1, each.name);
  });
  assert.ok(rows.length > 130);
});

test("functions with an instruction that has a rule are followed, others are not", () => {
  const rows = opcodeTable.filter(
    ({ pops, name }) => pops !== undefined && !NEW.test(name) && name !== "br_if",
  );
  const body = (each: Opcode, address: number) => {
    const drops = (each.pushes as readonly number[]).map(() => 0x1a);
    // An undefined condition is reported where the function is followed. The rest does not run.
    const decide = [...at(address), 0x28, 0, 0, 0x04, 0x40, 0x0b, 0x0f];
    return [...decide, ...push(each.pops as number[]), ...encoded(each), ...drops];
  };
  const { undefine, count } = followed(rows, body);
  rows.forEach((each, i) => {
    undefine(addressOf(i));
    assert.equal(count(i), each.rule === row.RULE.none ? 0 : 1, each.name);
  });
  assert.ok(rows.length > 350);
});
