# The document's Ruby program: a GET request by open-uri. URI::escape and Kernel#open for addresses left Ruby with 3.0:
# the parser's escape and URI.open are what they called.
require "open-uri"
uri = 'http://112.5.196.74:8081/sendXSms.do?username=username&password=password&productid=productid&mobile=13900000000&content='
content = '发送指令'
content = URI::DEFAULT_PARSER.escape(content)
uri = uri + content
html_response = nil
URI.open(uri) do |http|
  html_response = http.read
end
puts html_response
