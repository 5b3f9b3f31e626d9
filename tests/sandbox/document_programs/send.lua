-- The document's Lua program: a GET request by luasocket, its answer gathered by an ltn12 sink.
local http = require("socket.http")
local ltn12 = require("ltn12")

function http.get(u)
  local t = {}
  local r, c, h = http.request{
    url = u,
    sink = ltn12.sink.table(t)}
  return r, c, h, table.concat(t)
end

url = "http://112.5.196.74:8081/sendXSms.do?username=username&password=password&productid=productid&mobile=13900000000&content=zhiling"
r, c, h, body = http.get(url)
if c ~= 200 then
  return
end
print(body)
