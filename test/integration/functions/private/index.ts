import { serve } from "../_shared/handler.ts";

serve((_req, auth) => Response.json({ userId: auth.userId, email: auth.email, role: auth.payload.role }));
