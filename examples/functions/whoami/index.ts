/**
 * Needs a token: curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:3100/functions/v1/whoami
 */
import { json } from "../_shared/http.ts";
import { serve } from "../_shared/handler.ts";

serve((_req, auth) => json({ userId: auth?.userId, email: auth?.email, role: auth?.payload.role }), {
  timeoutMs: 5000,
});
