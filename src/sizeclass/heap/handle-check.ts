/** Whether an object can be the handle of a size-class heap: messages may come from anywhere. */
import { typeName } from "../../common/errors.ts";
import {
  bytesOfHandle,
  checkFields,
  type FieldRules,
  isObject,
  isWhole,
  sharedRules,
} from "../../common/handle-fields.ts";
import { THREAD_ID_MAX } from "../../core/layout/layout.ts";
import type { Geometry } from "../core/contract.ts";
import { controlSize, R_UNITS, REGION_SIZE, REGIONS, SLOTS_MAX } from "../core/layout.ts";
import { createSizeClassMap, type SizeClassMap } from "../spaces/maps.ts";
import type { SizeClassHandle } from "./shared.ts";

const FROM = "handle() of a size-class heap";

const rules: FieldRules<SizeClassHandle> = {
  ...sharedRules,
  threadId: ["a thread id", (value) => isWhole(value, THREAD_ID_MAX)],
  geometry: ["where everything is in its memory", isGeometry],
};

/** The most that each number of a geometry can be. */
const most = {
  ...{
    space: 2 ** 32,
    control: 2 ** 32,
    large: 2 ** 32,
    spaceSize: 2 ** 32,
    controlBytes: 2 ** 32,
  },
  ...{ regionLog: 32, arrayLog: 5, metadataSize: 2 ** 31, granule: 2 ** 32, pageSize: 2 ** 32 },
  ...{ threadSlots: SLOTS_MAX, cacheShift: 31, largePages: 2 ** 24, mapRegions: 2 ** 32 },
};

const flags = ["shuffle", "seedsByAddress", "keepsLast"] as const;

/** @throws TypeError for what no size-class heap has made. */
export function handleCheck(handle: SizeClassHandle): void {
  if (!isObject(handle) || !("geometry" in handle)) {
    throw new TypeError(`handle must come from ${FROM}, not ${typeName(handle)}`);
  }
  checkFields(handle, rules, FROM);
}

function isGeometry(value: unknown, handle: SizeClassHandle): boolean {
  if (!isObject(value)) return false;
  const geometry = value as Geometry;
  const areNumbers = Object.entries(most).every(([name, limit]) =>
    isWhole(geometry[name as keyof typeof most], limit),
  );
  if (!areNumbers || !flags.every((name) => typeof geometry[name] === "boolean")) return false;
  const map = mapOf(geometry);
  return map !== undefined && isPlaced(geometry, map, bytesOfHandle(handle));
}

function mapOf({ map }: Geometry): SizeClassMap | undefined {
  try {
    return createSizeClassMap(map);
  } catch {
    return undefined;
  }
}

/** The control area must lie in the memory, and has recorded the size of each class. */
function isPlaced(geometry: Geometry, map: SizeClassMap, buffer: ArrayBufferLike): boolean {
  const { space, control, controlBytes, large, spaceSize, threadSlots } = geometry;
  const { cacheShift, largePages, mapRegions } = geometry;
  const needed = controlSize(map.rounded, cacheShift, threadSlots, largePages, mapRegions);
  const isInside =
    control % 4 === 0 &&
    needed <= controlBytes &&
    control + controlBytes <= buffer.byteLength &&
    large === control + controlBytes &&
    space + spaceSize <= 2 ** 32 &&
    (mapRegions > 0 ? space === large : space + spaceSize === control);
  if (!isInside) return false;
  const words = new Uint32Array(buffer, control, controlBytes / 4);
  for (let id = 1; id < map.classes; id++) {
    const units = words[(REGIONS + id * REGION_SIZE + R_UNITS) / 4] as number;
    if (units !== map.size(id) >>> 4) return false;
  }
  return true;
}
