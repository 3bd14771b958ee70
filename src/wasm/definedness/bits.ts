/** Types of undefined bits, and the instructions that load and store them. */
import type { Access, Opcode } from "../module/opcode-row.ts";
import { opcodeTable } from "../module/opcode-table.ts";
import { F32, F64, I32, I64 } from "../module/value-types.ts";

/** The integer type for the undefined bits of a value; 0 for vectors and references. */
export function bitsType(type: number): number {
  if (type === I32 || type === F32) return I32;
  return type === I64 || type === F64 ? I64 : 0;
}

/** The type of the value that is loaded or stored. */
function valueTypeOf({ access, pushes }: Opcode): number {
  return access?.operands[0] ?? pushes?.[0] ?? 0;
}

function isPlain(row: Opcode): boolean {
  const type = valueTypeOf(row);
  return row.code < 0x100 && type === bitsType(type);
}

/** Plain stores, and loads without a sign, of integers, by direction, bytes and type. */
const plainAccesses = new Map<string, number>();
const accessRows = opcodeTable.filter((row) => row.access !== undefined);

function accessKey(write: boolean, size: number, type: number): string {
  return `${write} ${size} ${type}`;
}

for (const row of accessRows) {
  const { write, size } = row.access as Access;
  if (!isPlain(row) || row.name.endsWith("_s")) continue;
  plainAccesses.set(accessKey(write, size, valueTypeOf(row)), row.code);
}

/** The store of an integer of so many bytes: i64.store for 8, a store of i32 for less. */
export function integerStore(size: number): number {
  return plainAccesses.get(accessKey(true, size, size === 8 ? I64 : I32)) as number;
}

const integerAccesses = new Map(accessRows.map((row) => [row, integerAccessFind(row)]));

function integerAccessFind(row: Opcode): number | undefined {
  if (isPlain(row)) return row.code;
  const { write, size } = row.access as Access;
  return plainAccesses.get(accessKey(write, size, bitsType(valueTypeOf(row))));
}

/** The access that moves undefined bits as a load or store moves values. */
export function integerAccess(row: Opcode): number {
  return integerAccesses.get(row) as number;
}
