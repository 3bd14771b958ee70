/** What a region is asked for. */

/** Options of `enter` and `openRegion`. */
export interface RegionOptions {
  /**
   * The name in profiles and reports; profiles add up the regions of one label. Beyond 2048 labels,
   * those not entered for longest are added up as "(others)": name kinds of work, not single pieces
   * of it. Default: "region".
   */
  label?: string | undefined;
  /**
   * The end of the region throws a LayerError ERR_LEAK with the blocks that were not freed before.
   * Costs a few nanoseconds for each block. Default: false.
   */
  check?: boolean | undefined;
  /**
   * With `check`: keeps the stack of each allocation, for the error. Costs microseconds for each
   * block. Default: false.
   */
  stacks?: boolean | undefined;
}
