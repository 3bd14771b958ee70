/** Measures workloads on one allocator, called from WebAssembly or from JavaScript. */
import { allocatorNamed, type Mode } from "./allocators.ts";
import { measure } from "./measure.ts";
import { serve } from "./serve.ts";

serve((task, workload) => measure(allocatorNamed(task.allocator), workload, task.mode as Mode));
