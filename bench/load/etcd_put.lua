-- POST /v3/kv/put of etcd's JSON gateway: key and value in base64
local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
package.path = here .. "?.lua;" .. package.path
local common = require("common")
local headers = { ["Content-Type"] = "application/json" }

local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local function base64(text)
  local out = {}
  for i = 1, #text, 3 do
    local a, b, c = text:byte(i, i + 2)
    local n = a * 65536 + (b or 0) * 256 + (c or 0)
    for j = 3, 0, -1 do
      local digit = math.floor(n / 64 ^ j) % 64
      out[#out + 1] = alphabet:sub(digit + 1, digit + 1)
    end
    if not c then out[#out] = "=" end
    if not b then out[#out - 1] = "=" end
  end
  return table.concat(out)
end

-- The same value each time: encoding a new one in Lua would measure the load generator.
local value = base64(common.document())

request = function()
  return wrk.format("POST", "/v3/kv/put", headers, '{"key":"' .. base64(common.next_key()) .. '","value":"' .. value .. '"}')
end

done = common.done
