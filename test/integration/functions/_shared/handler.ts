// The way functions register themselves in projects of this kind.
// deno-lint-ignore-file no-explicit-any
export function serve(handler: (req: Request, auth: any) => unknown, options = {}) {
  const registry = (globalThis as any).__edgeFunctionRegistry;
  if (registry) registry.register(handler, options);
  else Deno.serve((req) => handler(req, undefined) as Response);
}
