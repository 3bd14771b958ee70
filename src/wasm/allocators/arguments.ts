/** How a replaced body brings its arguments and answers into the order of the function it calls. */
import { op } from "../module/opcodes.ts";
import { I32 } from "../module/value-types.ts";
import type { CodeWriter } from "../module/writer.ts";
import type { Param, Role } from "./roles.ts";

/** An argument by its meaning, or what stands for it when the function has no such parameter. */
export function argument(code: CodeWriter, role: Role, param: Param, missing: number): void {
  const position = role.params.indexOf(param);
  const log2 = param === "align" ? role.params.indexOf("log2") : -1;
  if (position >= 0) code.get(position);
  else if (log2 >= 0) code.const(1).get(log2).op(op.i32Shl);
  else code.const(missing);
}

/** A throwing operator new never answers null; there is no exception to throw from here. */
export function trapIfNull(code: CodeWriter): void {
  const ptr = code.local("pointer to test", I32);
  code.tee(ptr).op(op.i32Eqz).if().op(op.unreachable).end().get(ptr);
}
