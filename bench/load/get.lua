-- GET /entity/<schema>?key=<key>
local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
package.path = here .. "?.lua;" .. package.path
local common = require("common")
local headers = { ["Authorization"] = "Bearer " .. common.arg("key", "") }
local schema = common.arg("schema", "bench")

request = function()
  return wrk.format("GET", "/entity/" .. schema .. "?key=" .. common.next_key(), headers)
end

done = common.done
