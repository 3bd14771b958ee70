/**
 * terrane/javascript: the core as JavaScript, for places where WebAssembly may not run and for
 * memories that are not a WebAssembly.Memory.
 */

import { createCore } from "../core/embed/core-js.js";
import { createCore as createSharedCore } from "../core/embed/core-shared-js.js";
import { jsBuild, sharedJsBuild } from "./js-builds.ts";
import type { JavaScriptBackEnd, SharedJavaScriptBackEnd } from "./options.ts";

export type { JavaScriptBackEnd, SharedJavaScriptBackEnd } from "./options.ts";

/**
 * The JavaScript back end of createHeap. Its heap gives the same addresses as the WebAssembly
 * one, over any memory source; its default memory is an ArrayBuffer.
 *
 * @example
 * import { createHeap } from "terrane";
 * import { javascript } from "terrane/javascript";
 * const heap = createHeap({ backend: javascript });
 */
export const javascript: JavaScriptBackEnd = /* @__PURE__ */ jsBuild(createCore);

/**
 * The JavaScript back end of createSharedHeap, and of attachHeap in the threads that join its heap.
 * Its default memory is a SharedArrayBuffer of fixed size, 64 MiB without `maximum`.
 *
 * @example
 * import { sharedJavascript } from "terrane/javascript";
 * import { createSharedHeap } from "terrane/shared";
 * const heap = createSharedHeap({ backend: sharedJavascript, maximum: 2 ** 28 });
 */
export const sharedJavascript: SharedJavaScriptBackEnd =
  /* @__PURE__ */ sharedJsBuild(createSharedCore);
