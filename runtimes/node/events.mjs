/* node/events.mjs - a Lambda function's events, one at a time.
 *
 *   body read ──► running ──result, error──► answered ──► the next one
 *                    │ callback given, loop not empty yet ──loop empty──┘
 *                    └── loop empty and nothing came: null, or Runtime.NodeJsExit
 *
 * While a handler runs, the host's own sockets do not keep the event loop alive, so that Node's
 * `beforeExit` tells when the function has nothing left to do. */
import { ANSWER_MAX_BYTES, faultBody, resultText, RuntimeFault } from "../common/faults.mjs";
import { writeFault, writeResult } from "./answers.mjs";
import { ResponseStream } from "./respond.mjs";

const EXIT_UNCAUGHT = 128;
const EXIT_INIT = 129;
const EXIT_UNSETTLED = 13; /* what Node itself ends with */
const NO_LIMIT_MS = 2 ** 31 - 1; /* the longest that a timer takes */
const EVENT_MAX_BYTES = 64 * 1024 * 1024; /* the node's limits are lower */

const decoded = (field) =>
  field === undefined ? undefined : JSON.parse(Buffer.from(field, "base64").toString());

/** One event under way. */
class Call {
  settled = false;
  isAsync = false;
  onEmptyLoop = null; /* what the end of the event loop's work sets off */
  stream = null;
  ended = false; /* the stream's answer is out */

  constructor(message, res) {
    this.headers = message.headers;
    this.res = res;
    this.text = "";
    const left = this.headers["x-heddle-deadline"];
    this.end = performance.now() + (left === undefined ? NO_LIMIT_MS : Number(left));
  }
}

export class Events {
  #server;
  #sockets = new Set();
  #released = false;
  #waiting = [];
  #call = null;
  #what;
  #found = null;
  #fault = null;
  #trace;
  #exit;
  #logFault = () => {};

  /**
   * @param server  the host's; its connections are watched from now on.
   * @param exit    ends the process with a code.
   */
  constructor(server, exit) {
    this.#server = server;
    this.#exit = exit;
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      if (this.#released)
        socket.unref();
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  /** The id of the request that is running, or undefined. */
  get id() {
    return this.#call?.headers["x-heddle-id"];
  }

  /** What emit() and call() want to know of it, or undefined. */
  get current() {
    const call = this.#call;
    return call === null ? undefined : {
      id: call.headers["x-heddle-id"],
      traceparent: call.headers.traceparent,
      clientContext: call.headers["x-heddle-client-context"],
      endMs: call.end,
    };
  }

  /** Is it a Lambda function that was loaded? */
  get loaded() {
    return this.#found !== null || this.#fault !== null;
  }

  /**
   * Take events from now on.
   * @param what  the load request, with `lambda`.
   * @param found  from locateHandler(); null: the init failed with @p thrown.
   * @param logFault  from captureLambdaConsole().
   */
  start(what, found, thrown, logFault) {
    this.#what = what;
    this.#found = found;
    this.#fault = found === null ? { thrown } : null;
    this.#logFault = logFault;
  }

  /** Read an event and run it when it is its turn. */
  accept(message, res) {
    const call = new Call(message, res);
    const parts = [];
    let bytes = 0;
    message.on("data", (part) => {
      bytes += part.length;
      if (bytes > EVENT_MAX_BYTES)
        message.destroy();
      else
        parts.push(part);
    });
    message.on("end", () => {
      call.text = (parts.length === 1 ? parts[0] : Buffer.concat(parts)).toString();
      if (this.#call === null)
        this.#run(call);
      else
        this.#waiting.push(call); /* a streaming handler works on after its answer's end */
    });
    message.on("error", () => {}); /* the node went away in mid-event: nothing to run */
  }

  #run(call) {
    this.#call = call;
    if (this.#fault !== null) { /* logged with the id as well, where its caller looks for it */
      this.#logFault("Uncaught Exception", this.#fault.thrown);
      this.#answerFault(call, this.#fault.thrown, EXIT_INIT);
      return;
    }
    const trace = call.headers["x-heddle-trace"];
    if (trace !== this.#trace) {
      this.#trace = trace;
      if (trace === undefined)
        delete process.env._X_AMZN_TRACE_ID;
      else
        process.env._X_AMZN_TRACE_ID = trace;
    }
    try {
      const event = call.text === "" ? {} : JSON.parse(call.text);
      call.text = "";
      if (this.#found.streaming)
        this.#stream(call, event);
      else
        this.#buffered(call, event);
    } catch (thrown) {
      this.#fail(call, thrown);
    }
    if (this.#call === call && !this.#released)
      this.#release();
  }

  #buffered(call, event) {
    const succeed = (result) => this.#succeed(call, result);
    const fail = (thrown) => this.#fail(call, thrown);
    const context = this.#context(call);
    context.succeed = succeed;
    context.fail = (thrown) => fail(thrown ?? "context.fail() was called without an error");
    context.done = (thrown, result) =>
      thrown === undefined || thrown === null ? succeed(result) : fail(thrown);
    const callback = (thrown, result) => {
      if (thrown !== undefined && thrown !== null)
        fail(thrown);
      else if (!context.callbackWaitsForEmptyEventLoop)
        succeed(result);
      else
        call.onEmptyLoop ??= () => succeed(result);
    };
    const returned = this.#found.handler(event, context, callback);
    if (typeof returned?.then === "function") {
      call.isAsync = true;
      returned.then(succeed, fail);
    }
  }

  #stream(call, event) {
    const stream = new ResponseStream(call.res, this.#found.highWaterMark);
    call.stream = stream;
    stream.once("finish", () => {
      call.ended = true;
      if (call.settled)
        this.#next(call);
    });
    const returned = this.#found.handler(event, stream, this.#context(call));
    if (typeof returned?.then !== "function")
      throw new RuntimeFault("MalformedStreamingHandler",
        "Streaming does not support non-async handlers.");
    call.isAsync = true;
    returned.then(() => {
      call.settled = true;
      if (call.ended)
        this.#next(call);
    }, (thrown) => this.#fail(call, thrown));
  }

  #context(call) {
    const { headers, end } = call;
    const { lambda } = this.#what;
    const context = {
      callbackWaitsForEmptyEventLoop: true,
      functionVersion: lambda.version,
      functionName: lambda.name,
      memoryLimitInMB: String(lambda.memoryMB),
      logGroupName: lambda.logGroup,
      logStreamName: lambda.logStream,
      clientContext: decoded(headers["x-heddle-client-context"]),
      identity: decoded(headers["x-heddle-identity"]),
      invokedFunctionArn: headers["x-heddle-arn"] ?? lambda.arn,
      awsRequestId: headers["x-heddle-id"] ?? "",
      getRemainingTimeInMillis: () => Math.max(0, Math.round(end - performance.now())),
    };
    if (headers["x-heddle-tenant"] !== undefined)
      context.tenantId = headers["x-heddle-tenant"];
    return context;
  }

  #succeed(call, result) {
    if (call.settled)
      return;
    let text;
    try {
      text = resultText(result);
    } catch (thrown) {
      this.#fail(call, thrown);
      return;
    }
    call.settled = true;
    writeResult(call.res, text, this.#what.lambda.maxAnswerBytes ?? ANSWER_MAX_BYTES);
    this.#next(call);
  }

  #fail(call, thrown) {
    if (call.settled && (call.stream === null || call.ended))
      return;
    this.#logFault("Invoke Error", thrown);
    this.#answerFault(call, thrown);
  }

  /** @param code  the process ends with it when the answer is written; undefined: it goes on. */
  #answerFault(call, thrown, code) {
    call.settled = true;
    const onWritten = code === undefined ? undefined : () => this.#exit(code);
    if (call.stream !== null)
      call.stream.fail(thrown, onWritten);
    else
      writeFault(call.res, faultBody(thrown), onWritten);
    if (code === undefined)
      this.#next(call);
    else
      this.#hold();
  }

  #next(call) {
    if (this.#call !== call)
      return;
    this.#call = null;
    if (this.#released)
      this.#hold();
    if (this.#waiting.length > 0)
      this.#run(this.#waiting.shift());
  }

  // Uncaught, and the end of the event loop --------------------------------------------------------

  /**
   * Something was thrown that nobody caught: the caller gets it, and the process ends.
   * @param origin  "unhandledRejection", or what else process.on("uncaughtException") says.
   */
  uncaught(thrown, origin) {
    const rejected = origin === "unhandledRejection";
    const fault = rejected ? new RuntimeFault("UnhandledPromiseRejection", rejection(thrown), thrown)
      : thrown;
    this.#logFault(rejected ? "Unhandled Promise Rejection" : "Uncaught Exception", fault);
    const call = this.#call;
    if (call === null || (call.settled && (call.stream === null || call.ended)))
      this.#exit(EXIT_UNCAUGHT);
    else
      this.#answerFault(call, fault, EXIT_UNCAUGHT);
  }

  #release() {
    this.#released = true;
    this.#server.unref();
    for (const socket of this.#sockets)
      socket.unref();
  }

  #hold() {
    this.#released = false;
    this.#server.ref();
    for (const socket of this.#sockets)
      socket.ref();
  }

  /** Nothing is left in the event loop: the process ends unless something begins. */
  onEmptyLoop() {
    const call = this.#call;
    if (call === null || !this.#released)
      return;
    this.#hold();
    if (call.onEmptyLoop !== null) {
      call.onEmptyLoop();
    } else if (call.isAsync) {
      const fault = new RuntimeFault("NodeJsExit", call.settled
        ? "the handler returned without ending its response stream: call responseStream.end()"
        : "the handler waits for a Promise that was never settled, and nothing is left that could " +
          "settle it");
      this.#logFault("Invoke Error", fault);
      this.#answerFault(call, fault, EXIT_UNSETTLED);
    } else {
      this.#succeed(call, null);
    }
  }
}

/** What a promise was rejected with, in words. */
function rejection(reason) {
  try {
    return String(reason);
  } catch {
    return "a value that cannot be shown";
  }
}
