/**
 * The names of Scudo's unit tests, file by file, and for each the test of ours or the reason why
 * there is none. A name that one file uses for a test and a death test counts once.
 */

/** From compiler-rt/lib/scudo/standalone/tests of LLVM. */
export const names: Record<string, string> = {
  combined_test:
    "IsOwned BasicCombined0 BasicCombined1 BasicCombined2 BasicCombined3 BasicCombined4 " +
    "BasicCombined5 BasicCombined6 BasicCombined7 BasicCombined8 BasicCombined9 BasicCombined10 " +
    "BasicCombined11 BasicCombined12 BasicCombined13 BasicCombined14 BasicCombined15 " +
    "BasicCombined16 BasicCombined17 BasicCombined18 BasicCombined19 BasicCombined20 " +
    "ZeroContents ZeroFill PatternOrZeroFill BlockReuse ReallocateLargeIncreasing " +
    "ReallocateLargeDecreasing ReallocateSame ReallocateDecreasingTagged IterateOverChunks " +
    "UseAfterFree DoubleFreeFromPrimary DisableMemoryTagging Stats Drain ForceCacheDrain " +
    "ThreadedCombined ForceFast testSEGV DeathCombined FullRegion ReleaseToOS OddEven " +
    "DisableMemInit ReallocateInPlaceStress RingBufferDefaultDisabled RingBufferInitOnce " +
    "RingBufferEnabled StackDepotDefaultDisabled StackDepotInitOnce StackDepot " +
    "StackDepotSpecifics BasicTrustyConfig ZeroOnDeallocEnabledAndFlag QuarantineEnabled " +
    "QuarantineDisabled ExactUsableSize ExactUsableSizeMTE FullUsableSize ReallocUsableSize " +
    "FullUsableSizeMTE QuarantineIterateOverChunks StressThreadInitTSDShared " +
    "StressThreadInitTSDExclusive StressThreadTSDSharedSetTSDs " +
    "StressThreadTSDSharedMultiThreadSetTSDs DeallocateAlignNotPowerOfTwo TypeMismatch " +
    "ReallocTypeMismatch AlignTypeMismatch DISABLED_NewType SizeMismatch " +
    "SizeNotExactUsableMismatch AlignMismatch VerifyConfigOverrideMatchChecks " +
    "VerifyNumericValuesConfig VerifyAllBoolFalseConfig VerifyAllBoolTrueConfig AllocAfterFork " +
    "MultiRegionStress MultiRegionWithCVStress",
  primary_test: "BasicPrimary Primary64OOM PrimaryIterate PrimaryThreaded ReleaseToOS MemoryGroup",
  secondary_test:
    "Basic AllocatorCombinations AllocatorIterate AllocatorWithReleaseThreadsRace " +
    "VerifyGuardPageOption AllocatorCacheEntryOrder " +
    "AllocatorCachePartialChunkHeuristicRetrievalTest AllocatorCacheMemoryLeakTest " +
    "AllocatorCacheOptions ReleaseOlderThanAllEntries ReleaseOlderThanGroups",
  quarantine_test:
    "QuarantineBatchMerge QuarantineCacheMergeBatchesEmpty QuarantineCacheMergeBatchesOneBatch " +
    "QuarantineCacheMergeBatchesSmallBatches QuarantineCacheMergeBatchesTooBigToMerge " +
    "QuarantineCacheMergeBatchesALotOfBatches GlobalQuarantine ThreadedGlobalQuarantine",
  release_test:
    "RegionPageMap FreePagesRangeTracker ReleaseFreeMemoryToOSDefault " +
    "ReleaseFreeMemoryToOSAndroid ReleaseFreeMemoryToOSSvelte PageMapMarkRange",
  report_test: "Check Generic CSpecific HeaderCorruption Linux",
  size_class_map_test:
    "DefaultSizeClassMap AndroidSizeClassMap SvelteSizeClassMap OneClassSizeClassMap " +
    "LargeMaxSizeClassMap",
  tsd_test: "TSDRegistryInit TSDRegistryBasic TSDRegistryThreaded TSDRegistryTSDsCount",
  wrappers_c_test:
    "Malloc Calloc SmallAlign Memalign AlignedAlloc Realloc Reallocarray MallocFreeSized " +
    "AlignedAllocFreeAlignedSized MallocFreeAlignedSized AlignedAllocFreeSized " +
    "PosixMemalignFreeSized MemalignFreeSized PvallocFreeSized VallocFreeSized MallOpt " +
    "OtherAlloc MallInfo MallInfo2 MallocIterateBoundary MallocDisableDeadlock MallocInfo Fork " +
    "DisableForkEnable",
  wrappers_cpp_test: "New ThreadedNew AllocAfterFork",
  chunk_test: "ChunkBasic CorruptHeader",
  checksum_test: "ChecksumFunctions",
  flags_test:
    "BooleanFlags IntFlags MultipleFlags CommonSuffixFlags AllocatorFlags InitFlagsEnv " +
    "GWPASanFlags",
  list_test: "LinkedListCommon SinglyLinkedList DoublyLinkedList",
  vector_test: "Basic Stride ResizeReduction ReallocateFails",
  strings_test:
    "Constructor Basic Clear ClearLarge Precision PotentialOverflows MinMax Padding " +
    "CopyToBuffer CapacityIncreaseFails",
  timing_test: "SimpleTimer NestedTimer",
  memtag_test:
    "Unsupported ArchMemoryTagGranuleSize ExtractTag AddFixedTag UntagPointer " +
    "ScopedDisableMemoryTagChecks SelectRandomTag SelectRandomTagWithMask LoadStoreTagUnaligned " +
    "LoadStoreTag StoreTagsUnaligned StoreTags",
  map_test:
    "PageSize MapNoAccessUnmap MapUnmap MapWithGuardUnmap ResidentPagesNotMapped MapGrowUnmap " +
    "Zeroing",
  common_test: "VerifyGetResidentPages VerifyReleasePagesToOS Zeros",
  bytemap_test: "FlatByteMap",
  condition_variable_test: "DummyCVWaitAndNotifyAll LinuxCVWaitAndNotifyAll",
  scudo_hooks_test: "AllocateHooks",
  error_info_test: "RingBufferErrorInfo GetErrorInfoUAF GetErrorInfoOverflow GetErrorInfoUnderflow",
  allocator_config_test: "VerifyOptionalFlags",
};

/** Our titles that begin with the names themselves. */
function same(list: string): Record<string, string> {
  return Object.fromEntries(list.split(" ").map((name) => [name, `${name}:`]));
}

/** One reason for several names. */
function none(list: string, reason: string): Record<string, string> {
  return Object.fromEntries(list.split(" ").map((name) => [name, `none: ${reason}`]));
}

/** One test for several names. */
function by(list: string, title: string): Record<string, string> {
  return Object.fromEntries(list.split(" ").map((name) => [name, title]));
}

const basics = Array.from({ length: 21 }, (_, log) => `BasicCombined${log}`).join(" ");
const NO_TAGS = "WebAssembly has no memory tagging, and a pointer has no bits to spare";
const NO_FORK = "a JavaScript program cannot fork";
const NO_BATCHES = "no batches: quarantined blocks are linked through their headers";
const NO_CACHE =
  "no cache of mappings: the pages of a large block are free once its bits are cleared";
const LANGUAGE = "JavaScript has it";

export const ours: Record<string, Record<string, string>> = {
  combined_test: {
    ...by(basics, "BasicCombined$"),
    ...same("IsOwned ZeroContents ZeroFill PatternOrZeroFill BlockReuse"),
    ...same("ReallocateLargeIncreasing ReallocateLargeDecreasing ReallocateSame"),
    ...none("ReallocateDecreasingTagged DisableMemoryTagging", NO_TAGS),
    ...none("ExactUsableSizeMTE FullUsableSizeMTE", NO_TAGS),
    ...none("OddEven", `${NO_TAGS}: neighbours get odd and even tags there`),
    ...same("IterateOverChunks DoubleFreeFromPrimary Stats Drain ForceCacheDrain"),
    UseAfterFree: "GetErrorInfoUAF:",
    ThreadedCombined: "ThreadedCombined, ThreadedNew",
    ...same("ForceFast DeathCombined FullRegion ReleaseToOS DisableMemInit"),
    testSEGV: "a fault outside of the watched range goes to the engine",
    ...same("ReallocateInPlaceStress RingBufferDefaultDisabled RingBufferInitOnce"),
    ...by("RingBufferEnabled StackDepotInitOnce", "RingBufferInitOnce:"),
    StackDepotDefaultDisabled: "RingBufferDefaultDisabled:",
    ...by("StackDepot StackDepotSpecifics", "StackDepot:"),
    BasicTrustyConfig: "none: Trusty's constants; custom maps and sizes are options here",
    ...same("ZeroOnDeallocEnabledAndFlag QuarantineEnabled QuarantineDisabled"),
    ...same("ExactUsableSize FullUsableSize ReallocUsableSize QuarantineIterateOverChunks"),
    StressThreadInitTSDShared: "StressThreadInitTSDExclusive:",
    ...same("StressThreadInitTSDExclusive"),
    ...none(
      "StressThreadTSDSharedSetTSDs StressThreadTSDSharedMultiThreadSetTSDs",
      "each thread has a cache of its own; their number is fixed at the beginning",
    ),
    DeallocateAlignNotPowerOfTwo: "AlignMismatch:",
    ...same("TypeMismatch ReallocTypeMismatch AlignTypeMismatch SizeMismatch AlignMismatch"),
    DISABLED_NewType: "New:",
    ...same("SizeNotExactUsableMismatch VerifyConfigOverrideMatchChecks"),
    ...none(
      "VerifyNumericValuesConfig VerifyAllBoolFalseConfig VerifyAllBoolTrueConfig",
      "the configuration is not in the statistics: the caller passed it as an object",
    ),
    AllocAfterFork: `none: ${NO_FORK}`,
    ...none(
      "MultiRegionStress MultiRegionWithCVStress",
      "a class has one region; FullRegion tests what serves when it is full",
    ),
  },
  primary_test: {
    ...same("BasicPrimary Primary64OOM MemoryGroup"),
    PrimaryIterate: "row 124: iteration",
    PrimaryThreaded: "ThreadedCombined, ThreadedNew",
    ReleaseToOS: "releaseAll releases everything that is free now",
  },
  secondary_test: {
    Basic: "Basic of the secondary:",
    AllocatorCombinations: "BasicCombined$",
    ...same("AllocatorIterate"),
    AllocatorWithReleaseThreadsRace: "ThreadedCombined, ThreadedNew",
    VerifyGuardPageOption:
      "none: a large block has its head's page before it and no guard; guarded() has guards",
    ...none(
      "AllocatorCacheEntryOrder AllocatorCacheMemoryLeakTest AllocatorCacheOptions",
      NO_CACHE,
    ),
    ...none("AllocatorCachePartialChunkHeuristicRetrievalTest", NO_CACHE),
    ...none("ReleaseOlderThanAllEntries ReleaseOlderThanGroups", NO_CACHE),
  },
  quarantine_test: {
    ...none("QuarantineBatchMerge QuarantineCacheMergeBatchesEmpty", NO_BATCHES),
    ...none("QuarantineCacheMergeBatchesOneBatch", NO_BATCHES),
    ...none("QuarantineCacheMergeBatchesSmallBatches", NO_BATCHES),
    ...none("QuarantineCacheMergeBatchesTooBigToMerge", NO_BATCHES),
    ...none("QuarantineCacheMergeBatchesALotOfBatches", NO_BATCHES),
    GlobalQuarantine: "quarantine: freed blocks are not reused",
    ThreadedGlobalQuarantine: "ThreadedCombined, ThreadedNew",
  },
  release_test: {
    ...none("RegionPageMap PageMapMarkRange", "a bit for each chunk replaces the counters"),
    FreePagesRangeTracker: "exactly the ranges of free pages",
    ReleaseFreeMemoryToOSDefault: "every chunk but some",
    ReleaseFreeMemoryToOSAndroid: "every chunk but some",
    ReleaseFreeMemoryToOSSvelte: "every chunk but some",
  },
  report_test: {
    Check: "none: no assertions at run time; isValid checks the structures",
    ...by("Generic CSpecific", "Generic, CSpecific:"),
    HeaderCorruption: "HeaderCorruption:",
    Linux: "no memory for new chunks",
  },
  size_class_map_test: {
    DefaultSizeClassMap: "row 111",
    AndroidSizeClassMap:
      "none: a table of sizes that were measured on one system; maps are numbers here",
    SvelteSizeClassMap: "custom maps are valid",
    OneClassSizeClassMap: "wrong maps",
    LargeMaxSizeClassMap: "wrong maps",
  },
  tsd_test: {
    TSDRegistryInit: "any thread frees any block; detach returns",
    TSDRegistryBasic: "any thread frees any block; detach returns",
    TSDRegistryThreaded: "StressThreadInitTSDExclusive:",
    TSDRegistryTSDsCount: "any thread frees any block; detach returns",
  },
  wrappers_c_test: {
    ...same("Malloc Calloc SmallAlign Memalign AlignedAlloc Realloc Reallocarray"),
    ...same("MallocFreeSized MallOpt OtherAlloc MallocIterateBoundary MallocInfo"),
    ...by("AlignedAllocFreeAlignedSized MallocFreeAlignedSized", "MallocFreeSized:"),
    ...by("AlignedAllocFreeSized PosixMemalignFreeSized MemalignFreeSized", "MallocFreeSized:"),
    ...by("PvallocFreeSized VallocFreeSized", "MallocFreeSized:"),
    ...by("MallInfo MallInfo2", "MallInfo:"),
    MallocDisableDeadlock: "MallocDisableDeadlock:",
    ...none("Fork DisableForkEnable", NO_FORK),
  },
  wrappers_cpp_test: {
    New: "New:",
    ThreadedNew: "ThreadedCombined, ThreadedNew",
    AllocAfterFork: `none: ${NO_FORK}`,
  },
  chunk_test: { ChunkBasic: "ChunkBasic:", CorruptHeader: "any bit of a header" },
  checksum_test: { ChecksumFunctions: "ChecksumFunctions:" },
  flags_test: {
    ...same("BooleanFlags IntFlags MultipleFlags AllocatorFlags InitFlagsEnv"),
    CommonSuffixFlags: "MultipleFlags:",
    GWPASanFlags: "none: guarded() samples, with options of its own: docs/guide/guarded.md",
  },
  list_test: none("LinkedListCommon SinglyLinkedList DoublyLinkedList", LANGUAGE),
  vector_test: none("Basic Stride ResizeReduction ReallocateFails", LANGUAGE),
  strings_test: none(names.strings_test as string, LANGUAGE),
  timing_test: none("SimpleTimer NestedTimer", "the engine's profilers time functions"),
  memtag_test: none(names.memtag_test as string, NO_TAGS),
  map_test: {
    PageSize: "release: what the source of the heap can do",
    MapNoAccessUnmap: "protected pages trap in wasm code",
    MapUnmap: "OS memory goes back when it cannot be reached any more",
    MapWithGuardUnmap: "protected pages trap in wasm code",
    ResidentPagesNotMapped: "residency adds up the mappings that a range overlaps",
    MapGrowUnmap: "reserved pages become usable by commit",
    Zeroing: "a decommitted range is zero",
  },
  common_test: {
    VerifyGetResidentPages: "residency adds up the mappings that a range overlaps",
    VerifyReleasePagesToOS: "the memory is back at once",
    Zeros: "a decommitted range is zero",
  },
  bytemap_test: none("FlatByteMap", "a shift of an address gives its region"),
  condition_variable_test: none(
    "DummyCVWaitAndNotifyAll LinuxCVWaitAndNotifyAll",
    "no condition variables: a thread without the lock of a region continues without it",
  ),
  scudo_hooks_test: { AllocateHooks: "AllocateHooks:" },
  error_info_test: same(names.error_info_test as string),
  allocator_config_test: { VerifyOptionalFlags: "VerifyOptionalFlags:" },
};
