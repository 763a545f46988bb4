-- POST /entities/<schema>/get of 100 keys
local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
package.path = here .. "?.lua;" .. package.path
local common = require("common")
local headers = { ["Authorization"] = "Bearer " .. common.arg("key", ""), ["Content-Type"] = "application/json" }
local schema = common.arg("schema", "bench")

request = function()
  local parts = {}
  for i = 1, 100 do parts[i] = '"' .. common.next_key() .. '"' end
  return wrk.format("POST", "/entities/" .. schema .. "/get", headers, '{"keys":[' .. table.concat(parts, ",") .. "]}")
end

done = common.done
