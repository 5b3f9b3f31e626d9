# The document's shell program: curl sends a GET request, xxd and sed escape the text.
curl -s "http://112.5.196.74:8081/sendXSms.do?username=username&password=password&productid=productid&mobile=13900000000&content=`echo '发送指令' | tr -d '\n' | xxd -plain | sed 's/\(..\)/%\1/g'`"
