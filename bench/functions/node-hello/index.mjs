export default {
  fetch: () => Response.json({ message: "Hello, world!", time: Date.now() }),
};
