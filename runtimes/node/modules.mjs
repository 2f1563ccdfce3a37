/* node/modules.mjs - lets functions import and require "heddle", which is installed nowhere. A package
 * of that name that the function brings along is preferred. */
import Module from "node:module";
import { importsModule } from "../common/imports.mjs";
import { EXPORTS } from "../common/lanes.mjs";

const NAME = "heddle";
const OURS = new URL("heddle.mjs", import.meta.url).href;
const MISSING = ["MODULE_NOT_FOUND", "ERR_MODULE_NOT_FOUND"];

let asked = false; /* of an older Node: the thread that resolves is there */

function patchRequire() {
  const original = Module._load;
  Module._load = function load(request, ...rest) {
    if (request !== NAME)
      return original.call(this, request, ...rest);
    try {
      return original.call(this, request, ...rest);
    } catch (error) {
      if (!MISSING.includes(error?.code))
        throw error;
      return globalThis[EXPORTS];
    }
  };
}

/** Offer it to require(), and to import where Node can do so for nothing. Once. */
export function offerModules() {
  patchRequire();
  Module.registerHooks?.({
    resolve(specifier, context, next) {
      if (specifier !== NAME || !context.conditions.includes("import"))
        return next(specifier, context);
      try {
        return next(specifier, context);
      } catch (error) {
        if (!MISSING.includes(error?.code))
          throw error;
        return { url: OURS, format: "module", shortCircuit: true };
      }
    },
  });
}

/** Before a function's code is imported: older versions of Node resolve in a thread of its own, which is
 *  started only for those who need it. */
export function prepareImport(entry) {
  if (Module.registerHooks !== undefined || asked || !importsModule(entry, NAME))
    return;
  asked = true;
  Module.register("./resolve.mjs", import.meta.url);
}
