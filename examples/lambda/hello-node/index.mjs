/* A Lambda function in JavaScript: handler "index.handler", runtime nodejs20.x. */
export const handler = async (event, context) => {
  console.log("greeting", event.name ?? "world");
  return { message: `Hello ${event.name ?? "world"}!`, requestId: context.awsRequestId };
};
