/* heddle.d.ts - the module "heddle" inside of functions in Node.js and Deno; doc/lanes.md. */

export interface LaneOptions {
  /** Longest wait for the answer; default 30000, and never longer than the invocation has left. */
  timeoutMs?: number;
  /** Async contexts, by name or id; those of the invocation under way are passed on by themselves. */
  contexts?: Record<string, string>;
  /** Default: that of the invocation under way. */
  requestId?: string;
  /** Default: that of the invocation under way, so that one trace holds them all. */
  traceparent?: string;
  /** The value is a typed tree, and so is the result: {"__type": "Date", "value": ...}. */
  typed?: boolean;
  /** Ends the wait; what was asked for may happen all the same. */
  signal?: AbortSignal;
}

/** What came of an emission. */
export interface Emitted<Payload = unknown> {
  /** The message on the queue; absent where the hooks ran at once. */
  messageId?: string;
  lane?: string;
  mode?: "network" | "transparent" | "local-simulated";
  /** The payload after all hooks, of an event on an RPC lane. */
  result?: Payload;
}

/** Emit an event; resolves when it is safe. Rejects with a LaneError. */
export declare function emit<Data = unknown, Payload = Data>(
  event: string,
  data?: Data,
  options?: LaneOptions,
): Promise<Emitted<Payload>>;

/** Call a task; resolves with its result. Rejects with a LaneError. */
export declare function call<Result = unknown, Input = unknown>(
  task: string,
  input?: Input,
  options?: LaneOptions,
): Promise<Result>;

export declare class LaneError extends Error {
  /** "NOT_FOUND", "INTERNAL_ERROR", "UNREACHABLE", ...: doc/lanes.md. */
  readonly code: string;
  /** Of HTTP; 0: there was no answer. */
  readonly status: number;
  /** The same request may work later. */
  readonly retryable: boolean;
}
/** The task threw an error that the section `errors:` declares. */
export declare class LaneTypedError<Data = Record<string, unknown>> extends LaneError {
  readonly id: string;
  readonly data: Data;
  readonly httpCode?: number;
}
/** A queue, a peer or the node cannot be reached now. */
export declare class LaneUnavailable extends LaneError {}
/** No answer in time; what was asked for may have happened all the same. */
export declare class LaneTimeout extends LaneError {}
