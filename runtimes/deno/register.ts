/* deno/register.ts - finds the handler of a function, in whichever form it was written:
 *
 *   Deno.serve(handler)                     captured instead of listening
 *   serve(handler, {public, timeoutMs})     through globalThis.__edgeFunctionRegistry
 *   export default { fetch } / function     looked for when neither was called
 */
import { readServeOptions } from "../common/control.mjs";

// deno-lint-ignore no-explicit-any
export type Handler = (req: Request, second?: any) => Response | Promise<Response>;

export interface Registered {
  handler: Handler;
  kind: "fetch" | "serve";
  onError?: (error: unknown) => Response | Promise<Response>;
  public?: boolean;
  timeoutMs?: number;
  require?: string[];
}

export const NO_HANDLER = "loaded without registering a handler: call Deno.serve(handler) at the " +
  "top level (not after an await, not under `import.meta.main`), or write " +
  "`export default { fetch(req) { ... } }`";

export class Registry {
  #found: Registered | null = null;
  #parked: () => void;
  /** Resolved when the module waits for its server to end, which it never does. */
  readonly parked: Promise<void>;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.parked = promise;
    this.#parked = resolve;
  }

  get found(): Registered | null {
    return this.#found;
  }

  #register(entry: Registered, how: string): void {
    if (this.#found !== null)
      console.warn(`${how} was called after another handler had been registered: the last one is used`);
    this.#found = entry;
  }

  /** Put the capturing functions where user code looks for them. */
  install(): void {
    const define = (on: object, name: string, value: unknown) =>
      Object.defineProperty(on, name, { value, configurable: true, writable: true, enumerable: true });
    define(Deno, "serve", (first: unknown, second?: unknown) => this.#denoServe(first, second));
    define(globalThis, "__edgeFunctionRegistry", {
      register: (handler: Handler, options?: unknown) => {
        if (typeof handler !== "function")
          throw new TypeError("serve(): the first argument must be a function");
        this.#register({ handler, kind: "serve", ...readServeOptions(options) }, "serve()");
      },
    });
  }

  #denoServe(first: unknown, second?: unknown): unknown {
    // deno-lint-ignore no-explicit-any
    const options: any = typeof first === "function" ? {} : first ?? {};
    const handler = typeof first === "function"
      ? first
      : typeof second === "function"
      ? second
      : options.handler;
    if (typeof handler !== "function")
      throw new TypeError("Deno.serve(): no handler: pass a function");
    this.#register(
      { handler: handler as Handler, kind: "fetch", onError: options.onError },
      "Deno.serve()",
    );

    const end = Promise.withResolvers<void>();
    options.signal?.addEventListener("abort", () => end.resolve(), { once: true });
    const addr = { transport: "tcp", hostname: options.hostname ?? "0.0.0.0", port: options.port ?? 8000 };
    if (typeof options.onListen === "function")
      queueMicrotask(() => options.onListen(addr));
    const parked = this.#parked;
    return {
      addr,
      get finished() {
        parked();
        return end.promise;
      },
      shutdown() {
        end.resolve();
        return Promise.resolve();
      },
      ref() {},
      unref() {},
      [Symbol.asyncDispose]() {
        end.resolve();
        return Promise.resolve();
      },
    };
  }

  /** Look at the default export when nothing was registered. @throws Error that says what to do. */
  take(module: Record<string, unknown> | null): Registered {
    if (this.#found !== null)
      return this.#found;
    // deno-lint-ignore no-explicit-any
    const exported: any = module?.default;
    if (typeof exported === "function")
      return this.#found = { handler: exported, kind: "fetch" };
    if (typeof exported?.fetch === "function")
      return this.#found = { handler: (req, info) => exported.fetch(req, info), kind: "fetch" };
    throw new Error(NO_HANDLER);
  }
}
