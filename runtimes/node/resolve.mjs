/* node/resolve.mjs - where import finds "heddle" when the function has no package of that name. Node
 * runs it in a thread of its own, see modules.mjs. */
const OURS = new URL("heddle.mjs", import.meta.url).href;

export async function resolve(specifier, context, next) {
  if (specifier !== "heddle")
    return await next(specifier, context);
  try {
    return await next(specifier, context);
  } catch (error) {
    if (error?.code !== "ERR_MODULE_NOT_FOUND")
      throw error;
    return { url: OURS, format: "module", shortCircuit: true };
  }
}
