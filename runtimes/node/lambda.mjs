/* node/lambda.mjs - handlers written for AWS Lambda: (event, context[, callback]). The event has the
 * payload format 2.0 that function URLs send; results are read as AWS documents for it. */
import { readBody } from "./request.mjs";

const BODY_MAX_BYTES = 6 * 1024 * 1024; /* what Lambda takes */
const TEXT_TYPES =
  /^(text\/|application\/(json|javascript|xml|graphql|x-www-form-urlencoded)|[^;]*\+(json|xml)\b)/i;
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/** 21/Nov/2026:03:04:05 +0000 */
function logTime(date) {
  const two = (n) => String(n).padStart(2, "0");
  return `${two(date.getUTCDate())}/${MONTHS[date.getUTCMonth()]}/${date.getUTCFullYear()}:` +
    `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())} +0000`;
}

function joinedFields(raw) {
  const headers = {};
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i].toLowerCase();
    headers[name] = name in headers ? `${headers[name]},${raw[i + 1]}` : raw[i + 1];
  }
  return headers;
}

function joinedQuery(query) {
  if (query === "")
    return undefined;
  const values = {};
  for (const [name, value] of new URLSearchParams(query))
    values[name] = name in values ? `${values[name]},${value}` : value;
  return values;
}

/** @return the event for a request, or null: its body is too big. */
async function makeEvent(message, call) {
  const headers = joinedFields(message.rawHeaders);
  const mark = message.url.indexOf("?");
  const path = mark < 0 ? message.url : message.url.slice(0, mark);
  const query = mark < 0 ? "" : message.url.slice(mark + 1);
  const bytes = await readBody(message, BODY_MAX_BYTES);
  if (bytes === null)
    return null;

  const now = new Date();
  const host = headers.host ?? "";
  const event = {
    version: "2.0",
    routeKey: "$default",
    rawPath: path,
    rawQueryString: query,
    headers,
    queryStringParameters: joinedQuery(query),
    requestContext: {
      accountId: "anonymous",
      apiId: call.name,
      domainName: host,
      domainPrefix: host.split(".")[0],
      http: {
        method: message.method,
        path,
        protocol: "HTTP/1.1",
        sourceIp: (headers["x-forwarded-for"] ?? "").split(",").pop().trim(),
        userAgent: headers["user-agent"] ?? "",
      },
      requestId: call.id,
      routeKey: "$default",
      stage: "$default",
      time: logTime(now),
      timeEpoch: now.getTime(),
    },
    isBase64Encoded: false,
  };
  if (headers.cookie !== undefined) {
    event.cookies = headers.cookie.split(/; */);
    delete headers.cookie;
  }
  if (call.auth !== null)
    event.requestContext.authorizer = { jwt: { claims: call.auth.payload, scopes: null } };
  if (bytes.length > 0) {
    event.isBase64Encoded = !TEXT_TYPES.test(headers["content-type"] ?? "");
    event.body = bytes.toString(event.isBase64Encoded ? "base64" : "utf8");
  }
  return event;
}

function makeContext(call, settle) {
  const end = Date.now() + call.deadlineMs;
  return {
    functionName: call.name,
    functionVersion: "$LATEST",
    invokedFunctionArn: `arn:aws:lambda:local:000000000000:function:${call.name}`,
    memoryLimitInMB: String(call.memoryMB),
    awsRequestId: call.id,
    clientContext: call.clientContext,
    logGroupName: `/aws/lambda/${call.name}`,
    logStreamName: call.version,
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => Math.max(0, end - Date.now()),
    done: (error, result) => settle(error, result),
    fail: (error) => settle(error ?? new Error("context.fail()")),
    succeed: (result) => settle(null, result),
  };
}

/** @return a promise of what a handler gives, in whichever way it does. */
export function callHandler(handler, event, info) {
  return new Promise((resolve, reject) => {
    const settle = (error, result) =>
      error === null || error === undefined ? resolve(result) : reject(error);
    const result = handler(event, makeContext(info, settle), settle);
    if (typeof result?.then === "function")
      result.then(resolve, reject);
    else if (handler.length < 3 && result !== undefined)
      resolve(result); /* with a callback the value that is returned means nothing */
  });
}

/** What a handler gave, as an answer. @throws TypeError: it is none. */
function readResult(result) {
  const fields = [];
  if (typeof result !== "object" || result === null || result.statusCode === undefined) {
    const text = typeof result === "string" ? result : JSON.stringify(result ?? null);
    return { status: 200, fields: ["content-type", "application/json"], body: Buffer.from(text) };
  }
  const status = Number(result.statusCode);
  if (!Number.isInteger(status) || status < 200 || status > 599)
    throw new TypeError(`the handler's statusCode must be 200 to 599, not ${result.statusCode}`);
  let typed = false;
  for (const [name, value] of Object.entries(result.headers ?? {})) {
    const lower = name.toLowerCase();
    if (value === null || value === undefined || lower === "content-length" ||
      lower === "transfer-encoding" || lower === "connection")
      continue; /* the body's framing is ours to say */
    typed ||= lower === "content-type";
    fields.push(lower, String(value));
  }
  for (const cookie of result.cookies ?? [])
    fields.push("set-cookie", String(cookie));
  if (!typed)
    fields.push("content-type", "application/json");
  const text = typeof result.body === "string" ? result.body : JSON.stringify(result.body) ?? "";
  return { status, fields, body: Buffer.from(text, result.isBase64Encoded ? "base64" : "utf8") };
}

/**
 * Answer one request.
 * @param info  {name, id, version, memoryMB, deadlineMs, auth}
 * @throws what the handler throws, with nothing answered yet.
 */
export async function answerLambda(handler, message, res, info) {
  const event = await makeEvent(message, info);
  if (event === null) {
    const body = JSON.stringify({ error: "Request body too large", limit: BODY_MAX_BYTES });
    res.writeHead(413, { "content-type": "application/json", "content-length": body.length }).end(body);
    return;
  }
  const { status, fields, body } = readResult(await callHandler(handler, event, info));
  const bare = status === 204 || status === 304;
  if (!bare)
    fields.push("content-length", String(body.length));
  res.writeHead(status, fields);
  res.end(bare || message.method === "HEAD" ? undefined : body);
}
