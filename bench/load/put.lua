-- PUT /entity/<schema>?key=<key>
local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
package.path = here .. "?.lua;" .. package.path
local common = require("common")
local headers = { ["Authorization"] = "Bearer " .. common.arg("key", ""), ["Content-Type"] = "application/json" }
local schema = common.arg("schema", "bench")

request = function()
  return wrk.format("PUT", "/entity/" .. schema .. "?key=" .. common.next_key(), headers, common.document())
end

done = common.done
