"""HTML becomes a plain text in which a change can't be misread, with every version of Apprise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apprise
import pytest

from sms1680.apprise.html_text import html_to_text
from sms1680.sandbox import SandboxThread

A = "13800000000"
OLD_STYLE, NEW_STYLE = "background-color: #fadad7; color: #b30000;", "background-color: #eaf2c2; color: #406619;"
PRICE = "价格 <del>100</del><ins>99</ins> 元"

# Sends with each kind of declared and undeclared text, and loads its own URL again.
FORMATS = """
import sys
from apprise import Apprise, AppriseAsset, NotifyFormat
url, html, plugins = sys.argv[1:]
asset = AppriseAsset(plugin_paths=[plugins])
sent = lambda options, **kwargs: [made := Apprise(asset=asset), made.add(url + options), made.notify(**kwargs)][2]
for declared in (NotifyFormat.HTML, NotifyFormat.TEXT, NotifyFormat.MARKDOWN, None):
    assert sent("&stamp=no", body=html, body_format=declared)
assert sent("&format=html", body=html)
assert sent("&format=html&overflow=split", body=html, title="标题", body_format=NotifyFormat.HTML)
made = Apprise(asset=asset)
assert made.add(url)
again = Apprise(asset=asset)
assert again.add(made[0].url()) and "format=text" in again[0].url()
assert again.notify(body=html, body_format=NotifyFormat.HTML)
"""


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (PRICE, "价格 [100→99] 元"),
        ("<del>100</del> \n<ins>99</ins> 元", "[100→99] 元"),
        ("<p><del>旧</del></p><p><ins>新</ins></p>", "[旧→]\n[→新]"),
        ("<del>旧</del> <br>\n<ins>新</ins>", "[旧→]\n[→新]"),
        ("库存<ins>多</ins>，<s>有货</s>。", "库存[→多]，[有货→]。"),
        ("<del>1</del><ins>2</ins><del>3</del><ins>4</ins>", "[1→2][3→4]"),
        ("<del><p>一</p><p>二</p></del><p>三</p>", "[一\n二→]\n三"),
        ("<div>前<del>旧</div>后", "前[旧→]\n后"),
        ("<ins>外<del>内</del></ins>", "[→外][内→]"),
        ("前</del>后", "前后"),
        ("<ul><li><del>1</del></li><li><ins>2</ins></li></ul>", "- [1→]\n- [→2]"),
        (f'<span style="{OLD_STYLE}">100</span><span style="{NEW_STYLE}">99</span> 元', "[100→99] 元"),
        (
            '<span role="note" title="Changed text">100</span><span role="note" aria-label="Changed into">99</span>',
            "[100→99]",
        ),
        ('<span role="deletion">100</span>', "[100→]"),
        ('<b style="text-decoration: red line-through">100</b>99', "[100→]99"),
        ('<b style="color:red">100</b><b style="color:blue">99</b>', "100 99"),
        ('温度<b style="color:red">35</b>度', "温度35度"),
        ("<b>DOWN</b>: 1 &lt; 2 &amp;amp; <i>x</i>", "DOWN: 1 < 2 &amp; x"),
        ("温度 < 5 & 湿度", "温度 < 5 & 湿度"),
        ("<script>if (a<b) x()</script>后门<style>p{}</style><!-- c -->打开", "后门打开"),
        ("", ""),
    ],
)
def test_changes_are_marked(html: str, text: str) -> None:
    assert html_to_text(html) == text


@pytest.mark.parametrize("declared", [apprise.NotifyFormat.HTML, None])
def test_changed_price_in_a_notification(box: SandboxThread, url: Callable[..., str], declared: Any) -> None:
    sender = apprise.Apprise()
    assert sender.add(url(A, format="html" if declared is None else "text"))
    assert sender.notify(PRICE, title="降价 &amp; 缺货" if declared else None, body_format=declared)
    assert [message.text for message in box.platform.messages] == [
        "降价 & 缺货\n价格 [100→99] 元" if declared else "价格 [100→99] 元"
    ]


def test_every_version_of_apprise_leaves_html_to_the_plugin(
    script: Callable[..., Any], alone: Path, dropin: Path, url: Callable[..., str], box: SandboxThread
) -> None:
    done = script(FORMATS, url(A), PRICE, str(dropin), python=alone)
    assert done.returncode == 0, done.stderr
    texts = [message.text for message in box.platform.messages]
    flat = "价格 [100→99] 元"
    assert texts[:2] == [flat, PRICE]
    assert texts[2] in {PRICE, "价格 10099 元"}  # Apprise 2 converts Markdown, and allows HTML in it
    assert texts[3:] == [PRICE, flat, f"标题\n{flat}", flat]
