/** Measures workloads on one allocator in as many Workers as the mode begins with. */
import { serve } from "./serve.ts";
import { sharedAllocatorNamed } from "./threads-allocators.ts";
import { measureThreads } from "./threads-measure.ts";

serve(({ allocator, mode }, workload) =>
  measureThreads(sharedAllocatorNamed(allocator), workload, Number.parseInt(mode, 10)),
);
