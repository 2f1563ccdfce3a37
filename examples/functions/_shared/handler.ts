/**
 * serve(handler, options): registers with the gateway when it runs there, and listens by itself when
 * the file is run with `deno run`.
 */

export interface Auth {
  userId: string;
  email: string;
  rawToken: string;
  payload: Record<string, unknown>;
}

export interface Options {
  /** true: nobody has to be signed in. */
  public?: boolean;
  /** Roles of which the caller needs one. */
  require?: string[];
  timeoutMs?: number;
}

export type Handler = (req: Request, auth: Auth | null) => Response | Promise<Response>;

export function serve(handler: Handler, options: Options = {}): void {
  // deno-lint-ignore no-explicit-any
  const registry = (globalThis as any).__edgeFunctionRegistry;
  if (registry)
    registry.register(handler, options);
  else
    Deno.serve((req) => handler(req, null));
}
