<?php
// The document's PHP program: a GET request by file_get_contents, the text by urlencode.
$content = "发送指令";
$url = "http://112.5.196.74:8081/sendXSms.do?";
$url .= "username=username";
$url .= "&password=password";
$url .= "&productid=productid";
$url .= "&mobile=13900000000";
$content = urlencode($content);
$url .= "&content=$content";
$res = file_get_contents($url);
print $res;
?>
