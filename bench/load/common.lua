-- What the scripts share: arguments from the environment, keys in turn, documents of a size, and the count of errors.
local M = {}

function M.arg(name, default)
  return os.getenv("BENCH_" .. name) or default
end

M.keys = tonumber(M.arg("keys", "10000"))
M.size = tonumber(M.arg("size", "1024"))

-- A fixed step that shares no divisor with the number of keys visits all of them in an order that is not theirs. Each run begins
-- elsewhere: otherwise a short one would meet the few keys of the one before, however many there are.
math.randomseed(os.time())
local at = math.random(0, M.keys - 1)
function M.next_key()
  at = (at + 7919) % M.keys
  return "key-" .. at
end

local n = 0
function M.document()
  n = n + 1
  local head = '{"n":' .. n .. ',"name":"somebody","active":true,"text":"'
  return head .. string.rep("x", math.max(0, M.size - #head - 2)) .. '"}'
end

function M.done(summary, _, _)
  local e = summary.errors
  io.write(string.format("errors=%d requests=%d\n", e.connect + e.read + e.write + e.status + e.timeout, summary.requests))
end

return M
