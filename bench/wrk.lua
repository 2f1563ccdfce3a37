-- One kind of request, and the result as one line of JSON. Arguments: bytes of body, token.
function init(args)
  local bytes = tonumber(args[1] or "0")
  if args[2] and args[2] ~= "" then
    wrk.headers["Authorization"] = "Bearer " .. args[2]
  end
  if bytes > 0 then
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    wrk.body = '"' .. string.rep("x", bytes - 2) .. '"'
  end
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"us":%d,"bytes":%d,"p50_us":%d,"p99_us":%d,"bad_status":%d,"broken":%d}\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50),
    latency:percentile(99), e.status, e.connect + e.read + e.write + e.timeout))
end
