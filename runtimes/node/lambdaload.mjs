/* node/lambdaload.mjs - loads a Lambda function: environment, globals, console, module. From then on
 * what nobody catches ends the process, as it does at Lambda. */
import { captureLambdaConsole } from "./lambdalog.mjs";
import { locateHandler } from "./locate.mjs";
import { defineAwslambda } from "./respond.mjs";

/* What the host was started with and a Lambda function's environment does not have by itself. */
const NOT_LAMBDAS = ["HEDDLE_RUN_DIR", "HOME", "LANG", "TMPDIR", "TZ"];

function setEnvironment(env) {
  for (const name of NOT_LAMBDAS) {
    if (env[name] === undefined)
      delete process.env[name];
  }
  Object.assign(process.env, env);
}

/** The place in the code of the function that called a function of ours. */
function callerOf(ours) {
  const at = {};
  Error.captureStackTrace(at, ours);
  return /\(?((?:file:\/\/)?\/[^\s()]+:\d+:\d+)\)?$/m.exec(at.stack)?.[1] ?? "code of the function";
}

/** Say in the log who ended the process: all that the caller gets is that it ended. */
function watchExit(events, exit) {
  process.exit = function exitOfFunction(code) {
    const end = events.id === undefined && events.loaded
      ? "this instance ends, and the next event gets a new one"
      : "this instance ends, and who waits for it gets Runtime.ExitError";
    console.warn(`process.exit(${code ?? ""}) was called at ${callerOf(exitOfFunction)}: ${end}`);
    return exit(code);
  };
}

/**
 * Load the function of a load request with `lambda`.
 * @param events  Events; has been started when this resolves.
 * @return the answer to the load request; an init that fails is told to the first event instead.
 */
export async function loadLambda(what, events, log, exit) {
  setEnvironment(what.env);
  process.argv = process.argv.slice(0, 1);
  process.chdir(what.root);
  const logFault = captureLambdaConsole(log, () => events.id, process.env);
  defineAwslambda();

  const uncaught = Promise.withResolvers?.() ?? withResolvers();
  process.removeAllListeners("uncaughtException");
  process.removeAllListeners("unhandledRejection");
  const onUncaught = (thrown, origin) =>
    events.loaded ? events.uncaught(thrown, origin) : uncaught.reject(thrown);
  process.on("uncaughtException", (thrown, origin) => onUncaught(thrown, origin));
  process.on("unhandledRejection", (thrown) => onUncaught(thrown, "unhandledRejection"));
  process.on("beforeExit", () => events.onEmptyLoop());
  watchExit(events, exit);

  let found = null;
  let thrown;
  try {
    found = await Promise.race([locateHandler(what.root, what.handler ?? process.env._HANDLER ?? ""), uncaught.promise]);
  } catch (failure) {
    thrown = failure;
    logFault("Uncaught Exception", failure);
  }
  events.start(what, found, thrown, logFault);
  return { ok: true, kind: found === null ? "init-failed" : "lambda", concurrency: 1 };
}

function withResolvers() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}
