/* node/respond.mjs - `awslambda`: handlers that stream their answer.
 *
 *   open ──first write──► begun ──end──► finished
 *     └──────fail──► function error  └──fail──► trailers tell the error
 */
import { Writable } from "node:stream";
import { faultBody } from "../common/faults.mjs";
import { whenWritten, writeFault } from "./answers.mjs";
import { HIGH_WATER_MARK, STREAMING } from "./locate.mjs";

const PRELUDE_END = Buffer.alloc(8);
const PRELUDE_TYPE = "application/vnd.awslambda.http-integration-response";
const DEFAULT_TYPE = "application/octet-stream";
const TRAILERS = "x-heddle-function-error, x-heddle-error-type, x-heddle-error-body, x-heddle-exit";

/** The stream that a streaming handler writes to. */
export class ResponseStream extends Writable {
  #res;
  #type = DEFAULT_TYPE;
  #prelude = null;
  #begun = false;
  #wake = null;

  constructor(res, highWaterMark) {
    super(highWaterMark === undefined ? {} : { highWaterMark });
    this.#res = res;
    res.on("drain", () => this.#awake());
    res.on("close", () => this.#awake()); /* nobody reads any more: the handler goes on to its end */
  }

  #awake() {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  get begun() {
    return this.#begun;
  }

  /** Before the first write. */
  setContentType(type) {
    if (this.#begun)
      throw new Error("setContentType() comes too late: the response has begun");
    this.#type = String(type);
  }

  /** What goes in front of the body: status, fields and cookies of an HTTP answer. */
  setPrelude(prelude) {
    this.setContentType(PRELUDE_TYPE);
    this.#prelude = JSON.stringify(prelude ?? {});
  }

  #begin() {
    this.#begun = true;
    this.#res.sendDate = false;
    this.#res.writeHead(200, ["content-type", this.#type, "x-heddle-stream", "1",
      "transfer-encoding", "chunked", "trailer", TRAILERS]);
    if (this.#prelude !== null)
      this.#res.write(Buffer.concat([Buffer.from(this.#prelude), PRELUDE_END]));
  }

  _write(chunk, _encoding, done) {
    if (!this.#begun)
      this.#begin();
    if (this.#res.destroyed || this.#res.write(chunk))
      done();
    else
      this.#wake = done;
  }

  _final(done) {
    if (!this.#begun)
      this.#begin();
    if (this.#res.destroyed)
      done();
    else
      this.#res.end(() => done());
  }

  /**
   * Tell the caller that the handler failed, in the way that is left.
   * @param onWritten  as of writeFault().
   */
  fail(thrown, onWritten) {
    this.on("error", () => {}); /* who still writes is not heard */
    const body = faultBody(thrown);
    if (!this.#begun) {
      writeFault(this.#res, body, onWritten);
    } else if (this.#res.writableEnded || this.#res.destroyed) {
      onWritten?.();
    } else {
      this.#res.addTrailers({
        "x-heddle-function-error": "Unhandled",
        "x-heddle-error-type": /^[\x21-\x7e]{1,200}$/.test(body.errorType) ? body.errorType : "Error",
        "x-heddle-error-body": Buffer.from(JSON.stringify(body)).toString("base64"),
        ...(onWritten && { "x-heddle-exit": "1" }),
      });
      whenWritten(this.#res, onWritten);
      this.#res.end();
    }
    this.destroy();
  }
}

/** Make the global that handlers use. */
export function defineAwslambda() {
  globalThis.awslambda = {
    streamifyResponse(handler, options) {
      handler[STREAMING] = "response";
      if (options?.highWaterMark !== undefined) {
        const bytes = Number.parseInt(options.highWaterMark, 10);
        if (!(bytes > 0))
          throw new TypeError("streamifyResponse(): highWaterMark: must be a number of bytes, 1 or more");
        handler[HIGH_WATER_MARK] = bytes;
      }
      return handler;
    },
    HttpResponseStream: class HttpResponseStream {
      static from(stream, prelude) {
        stream.setPrelude(prelude);
        return stream;
      }
    },
  };
}
