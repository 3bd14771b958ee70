/** Methods that check their arguments: one function for each row of the table of calls. */
import { checkAlignment, checkFunction, checkPointer, checkSize } from "../../common/checks.ts";
import { sizeRefuse } from "../../common/errors.ts";
import { trapError } from "../stats/damage.ts";
import { type ArgumentKind, type MethodName, methodRows } from "./table.ts";

/** A call on an allocator, with arguments that are right. */
export type Run<Self> = (
  self: Self,
  a: number,
  b: number,
  c: number,
  d: number,
  e: number,
) => unknown;

type CheckPointer<Self> = (self: Self, call: string, ptr: number) => void;

/** What an allocator checks of pointers. */
export interface PointerChecks<Self> {
  /** Throws unless a pointer is a block or null. */
  block: CheckPointer<Self>;
  /** Throws unless an address in range is null, or that of a word that the program can have. */
  cell: CheckPointer<Self>;
}

type Check<Self> = (self: Self, value: number) => void;

/** A function of a call: stacks are cut at it. */
type Method = (...args: never[]) => unknown;

/** Puts a method for each call on the prototype of a class; returns the class. */
export function withCalls<Class extends { prototype: object }, Self>(
  to: Class,
  pointers: PointerChecks<Self>,
  runOf: (call: MethodName, index: number) => Run<Self>,
): Class {
  methodRows.forEach(([call, { args }], index) => {
    const checks = args.map((kind) => checkOf(call, kind, pointers));
    const value = named(call, methodOf(runOf(call, index), checks));
    Object.defineProperty(to.prototype, call, { value, writable: true, configurable: true });
  });
  return to;
}

/** Stack traces show the name of a call, not that of the function which made it. */
function named(call: string, method: Method): Method {
  return Object.defineProperty(method, "name", { value: call });
}

/**
 * One for each number of arguments: a method of any number would collect them in an array. Checks
 * read a damaged heap as the calls do, so that both can trap.
 */
function methodOf<Self>(run: Run<Self>, checks: readonly Check<Self>[]): Method {
  const [first, second, third, fourth, fifth] = checks as [
    Check<Self>,
    Check<Self>,
    Check<Self>,
    Check<Self>,
    Check<Self>,
  ];
  switch (checks.length) {
    case 1:
      return function (this: Self, a: number) {
        try {
          first(this, a);
          return run(this, a, 0, 0, 0, 0);
        } catch (error) {
          throw trapError(error);
        }
      };
    case 2:
      return function (this: Self, a: number, b: number) {
        try {
          first(this, a);
          second(this, b);
          return run(this, a, b, 0, 0, 0);
        } catch (error) {
          throw trapError(error);
        }
      };
    case 3:
      return function (this: Self, a: number, b: number, c: number) {
        try {
          first(this, a);
          second(this, b);
          third(this, c);
          return run(this, a, b, c, 0, 0);
        } catch (error) {
          throw trapError(error);
        }
      };
    case 4:
      return function (this: Self, a: number, b: number, c: number, d: number) {
        try {
          first(this, a);
          second(this, b);
          third(this, c);
          fourth(this, d);
          return run(this, a, b, c, d, 0);
        } catch (error) {
          throw trapError(error);
        }
      };
    default:
      return function (this: Self, a: number, b: number, c: number, d: number, e: number) {
        try {
          first(this, a);
          second(this, b);
          third(this, c);
          fourth(this, d);
          fifth(this, e);
          return run(this, a, b, c, d, e);
        } catch (error) {
          throw trapError(error);
        }
      };
  }
}

function checkOf<Self>(
  call: string,
  kind: ArgumentKind,
  pointers: PointerChecks<Self>,
): Check<Self> {
  const checkCell: Check<Self> = (self, ptr) => {
    checkPointer(ptr);
    pointers.cell(self, call, ptr);
  };
  switch (kind) {
    case "block":
      return (self, ptr) => pointers.block(self, call, ptr);
    case "address":
      return (_, ptr) => checkPointer(ptr);
    case "cell":
      return checkCell;
    case "optional":
      return (self, ptr) => {
        if (ptr !== undefined) checkCell(self, ptr);
      };
    case "alignment":
      return (_, alignment) => checkAlignment(alignment);
    case "boundary":
      return (_, alignment) => checkSize(alignment, "alignment");
    case "word":
      return (_, size) => checkWord(size);
    case "handler":
      return (_, handler) => checkFunction("handler", handler);
    default:
      return (_, value) => checkSize(value, kind);
  }
}

/** For sizes that may be more than any block has. */
function checkWord(size: number): void {
  if (typeof size !== "number" || size >>> 0 !== size) sizeRefuse("size", size);
}
