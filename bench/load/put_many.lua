-- PUT /entity/<schema> with 100 documents
local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
package.path = here .. "?.lua;" .. package.path
local common = require("common")
local headers = { ["Authorization"] = "Bearer " .. common.arg("key", ""), ["Content-Type"] = "application/json" }
local schema = common.arg("schema", "bench")

request = function()
  local parts = {}
  for i = 1, 100 do parts[i] = '"' .. common.next_key() .. '":' .. common.document() end
  return wrk.format("PUT", "/entity/" .. schema, headers, "{" .. table.concat(parts, ",") .. "}")
end

done = common.done
