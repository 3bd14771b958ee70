/** How a replaced body passes its arguments to the function that it calls. */
import { op } from "../module/opcodes.ts";
import { I32 } from "../module/value-types.ts";
import type { CodeWriter } from "../module/writer.ts";
import type { Param, Role } from "./roles.ts";

/** Pushes an argument by its meaning; `missing` if the function has no such parameter. */
export function argument(code: CodeWriter, role: Role, param: Param, missing: number): void {
  const position = role.params.indexOf(param);
  const log2 = param === "align" ? role.params.indexOf("log2") : -1;
  if (position >= 0) code.get(position);
  else if (log2 >= 0) code.const(1).get(log2).op(op.i32Shl);
  else code.const(missing);
}

/** A throwing operator new never returns null. No exception can be thrown here, so it traps. */
export function trapIfNull(code: CodeWriter): void {
  const ptr = code.local("pointer to test", I32);
  code.tee(ptr).op(op.i32Eqz).if().op(op.unreachable).end().get(ptr);
}
