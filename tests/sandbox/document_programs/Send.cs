// The document's C# program: a GET request by WebClient. Server.UrlEncode needs a web page around it; WebUtility's is the same.
using System;
using System.IO;
using System.Net;

public class Send {
    public static void Main() {
        string content = "发送指令";
        string uri = "http://112.5.196.74:8081/sendXSms.do?username=username&password=password&productid=productid&mobile=13900000000";
        uri = uri + "&content=" + WebUtility.UrlEncode(content);
        WebClient wc = new WebClient();
        Stream st = wc.OpenRead(uri);
        StreamReader sr = new StreamReader(st);
        string res = sr.ReadToEnd();
        sr.Close();
        st.Close();
        Console.WriteLine(res);
    }
}
