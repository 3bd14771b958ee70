/** The exports of every build of the allocator; contract.ts is their type. */

export { memoryRefresh } from "../../core/target/glue.ts";
export { cacheDrain, releaseNow } from "./cache.ts";
export {
  blockBegin,
  calloc,
  classAt,
  free,
  freeChecked,
  goodSize,
  malloc,
  memalign,
  metaOf,
  pointerCheck,
  realloc,
  usableSize,
  zalloc,
} from "./calls.ts";
export { classesBind, classId, classSize } from "./classes.ts";
export { largeBefore, largeMark } from "./large.ts";
export { chunksReserve, chunksReturn, chunksTake } from "./region.ts";
export { regionNext } from "./regions.ts";
export { releaseMaybe } from "./release.ts";
export {
  addressesBind,
  arrayAt,
  baseOf,
  behaviourBind,
  countsBind,
  mapBind,
  sizesBind,
  slotBind,
} from "./state.ts";
export {
  controlWord,
  intervalSet,
  locksAcquire,
  locksRelease,
  regionLock,
  regionUnlock,
  regionWord,
  slotFree,
  slotTake,
  spaceInit,
  threadIdDraw,
  threadRecover,
} from "./threads.ts";
export { spaceIsValid } from "./valid.ts";
