/* node/heddle.mjs - the module "heddle" that functions import; modules.mjs leads here. */
export const { emit, call, LaneError, LaneTypedError, LaneUnavailable, LaneTimeout } =
  globalThis[Symbol.for("heddle.function")];
