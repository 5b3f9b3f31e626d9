// The document's Java program. It sets POST on one connection and then reads another by openStream, which is a GET.
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.HttpURLConnection;
import java.net.URL;
import java.net.URLEncoder;

public class Send {
    public static void main(String[] args) throws IOException {
        String content = "短信提交 JAVA 示例代码";
        StringBuffer sb = new StringBuffer("http://112.5.196.74:8081/sendXSms.do?");
        sb.append("username=username");
        sb.append("&password=password");
        sb.append("&productid=productid");
        sb.append("&mobile=13900000000,13811111111");
        sb.append("&content=" + URLEncoder.encode(content, "utf-8"));
        sb.append("&dstime=");
        sb.append("&xh=11");
        URL url = new URL(sb.toString());
        HttpURLConnection connection = (HttpURLConnection) url.openConnection();
        connection.setRequestMethod("POST");
        BufferedReader in = new BufferedReader(new InputStreamReader(url.openStream()));
        String inputline = in.readLine();
        System.out.println(inputline);
    }
}
