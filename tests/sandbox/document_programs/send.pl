#!/usr/bin/perl
# The document's Perl program: a GET request by LWP::Simple, the text by URI::Escape.
use strict;
use LWP::Simple;
use URI::Escape;
my $url = "http://112.5.196.74:8081/sendXSms.do?username=username&password=password&productid=productid&mobile=13900000000&content=";
my $content = "发送指令";
$url = $url . uri_escape($content);
my $res = get($url);
print $res;
