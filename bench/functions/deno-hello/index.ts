Deno.serve(() => Response.json({ message: "Hello, world!", time: Date.now() }));
