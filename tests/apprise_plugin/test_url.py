"""The URL: its arguments, its round trip, and the secrets that it hides."""

import hashlib
import pickle
import re
import tomllib
from urllib.parse import quote

import apprise
import pytest
from apprise.plugins import details, url_to_dict
from hypothesis import given, strategies as st
from support import ROOT

from sms1680.apprise import NotifySMS1680

A, B = "13800000000", "13900000001"
MD5 = hashlib.md5(b"secret").hexdigest()


def load(url: str) -> NotifySMS1680:
    made = apprise.Apprise.instantiate(url, suppress_exceptions=False)
    assert isinstance(made, NotifySMS1680)
    return made


def settings(service: NotifySMS1680) -> dict[str, object]:
    names = ("user", "password", "product_id", "targets", "_invalid_targets", "gateway", "extension", "place", "batch")
    more = (
        "critical",
        "repeat",
        "state",
        "rate",
        "dedupe",
        "stamp",
        "cap",
        "md5",
        "form",
        "socket_read_timeout",
        "verify_certificate",
        "_from_html",
    )
    return {name: getattr(service, name) for name in (*names, *more)} | {"signature": service._signature}


def test_url_sets_every_option() -> None:
    service = load(
        f"sms1680://user:p%40ss@61341/{A}/+86-139-0000-0001/10086?gateway=https://sms.example:8443/x/&extension=012"
        "&signature=某某&place=behind&to=13700000002，13700000003&batch=no&rate=2.5&dedupe=60&stamp=yes&cap=50&rto=7&verify=no"
        "&critical=yes&repeat=unknown&state=/run/sms1680"
    )
    assert settings(service) == {
        "user": "user",
        "password": "p@ss",
        "product_id": "61341",
        "targets": [A, B, "13700000002", "13700000003"],
        "_invalid_targets": ["10086"],
        "gateway": "https://sms.example:8443/x",
        "extension": "012",
        "place": "behind",
        "batch": False,
        "critical": True,
        "repeat": "unknown",
        "state": "/run/sms1680",
        "rate": 2.5,
        "dedupe": 60,
        "stamp": True,
        "cap": 50,
        "md5": False,
        "form": "md5",
        "socket_read_timeout": 7.0,
        "verify_certificate": False,
        "_from_html": False,
        "signature": service._signature,
    }
    assert service._signature is not None
    assert service._signature.name == "某某"
    assert settings(load(service.url())) == settings(service)
    assert len(load(service.url())) == len(service) == 4


def test_defaults() -> None:
    service = load(f"sms1680://user:secret@61341/{A}")
    assert (service.gateway, service.batch, service.rate, service.dedupe) == ("http://api.1680.me", True, None, 0)
    assert (service.socket_read_timeout, service.request_rate_per_sec) == (30.0, 0)
    assert "gateway" not in service.url()


@pytest.mark.parametrize("name", ["xh", "from", "extension"])
def test_aliases_of_the_extension(name: str) -> None:
    assert load(f"sms1680://user:secret@61341/{A}?{name}=08").extension == "08"


def test_alias_of_the_signature() -> None:
    signature = load(f"sms1680://user:secret@61341/{A}?sign=【某某】")._signature
    assert signature is not None
    assert signature.name == "某某"


@pytest.mark.parametrize("product", ["61341", "yrjr", "YrJr", "Yr_Jr", "a b", "产品"])
def test_product_id_is_unchanged(product: str) -> None:
    service = load(f"sms1680://user:secret@{quote(product)}/{A}")
    assert service.product_id == product
    assert load(service.url()).product_id == product


secrets = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)


@given(user=secrets, password=secrets, product=secrets.filter(lambda text: ":" not in text), rejects=st.lists(secrets))
def test_url_makes_the_round_trip(user: str, password: str, product: str, rejects: list[str]) -> None:
    if re.fullmatch(r"[0-9a-fA-F]{32}", password):
        return
    numbers = "/".join(quote(reject, safe="") for reject in [A, *rejects])
    service = load(f"sms1680://{quote(user, safe='')}:{quote(password, safe='')}@{quote(product, safe='')}/{numbers}")
    assert (service.user, service.password, service.product_id) == (user, password, product)
    again = load(service.url())
    assert settings(again) == settings(service)
    assert again.url() == service.url()
    assert again.url_id() == service.url_id()


def test_password_may_contain_unescaped_separators() -> None:
    service = load(f"sms1680://user:p:a@s#s@61341/{A}")
    assert (service.user, service.password, service.product_id, service.targets) == ("user", "p:a@s#s", "61341", [A])


@pytest.mark.parametrize("name", ["password", "pass"])
def test_credentials_in_the_query_are_decoded_once(name: str) -> None:
    service = load(f"sms1680://61341/{A}?user=u%2541&{name}=p%2541")
    assert (service.user, service.password) == ("u%41", "p%41")


def test_privacy_masks_secrets_and_numbers() -> None:
    shown = load(f"sms1680://username:secret@61341/{A}/{B}/10086?dedupe=5").url(privacy=True)
    assert shown.startswith("sms1680://u...e:****@61341/138****0000/139****0001/****/?")
    assert "dedupe=5" in shown


def test_identifier_depends_on_the_account_only() -> None:
    one, other = load(f"sms1680://user:secret@61341/{A}"), load(f"sms1680://user:secret@61341/{B}?batch=no")
    assert one.url_id() == other.url_id()
    assert one.url_id() != load(f"sms1680://user:secret@61342/{A}").url_id()
    assert one.url_id() != load(f"sms1680://user:secret@61341/{A}?gateway=http://other").url_id()


def test_length_is_the_number_of_requests() -> None:
    many = "/".join(f"138{place:08}" for place in range(101))
    assert len(load(f"sms1680://user:secret@61341/{many}")) == 2
    assert len(load(f"sms1680://user:secret@61341/{many}?batch=no")) == 101


def test_md5_password_requires_the_md5_option() -> None:
    service = load(f"sms1680://user:{MD5}@61341/{A}?md5=yes")
    assert service._account.password == load(f"sms1680://user:secret@61341/{A}")._account.password == MD5
    assert settings(load(service.url())) == settings(service)
    with pytest.raises(TypeError, match="md5=yes"):
        load(f"sms1680://user:{MD5}@61341/{A}")


def test_password_can_be_sent_plain() -> None:
    assert load(f"sms1680://user:secret@61341/{A}?form=plain")._account.password == "secret"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("sms1680://", "product id|user name"),
        (f"sms1680://61341/{A}", "user name"),
        (f"sms1680://user:secret@/{A}", "product id"),
        (f"sms1680://user@61341/{A}", "password is missing"),
        (f"sms1680://user:secret@61341:8080/{A}", "port is part of the gateway"),
        (f"sms1680://user:secret@61341/{A}?gateway=sms.example", "http://host"),
        (f"sms1680://user:secret@61341/{A}?gateway=http://me:pw@sms.example", "http://host"),
        (f"sms1680://user:secret@61341/{A}?extension=a1", "digits"),
        (f"sms1680://user:secret@61341/{A}?place=above", "front, behind or platform"),
        (f"sms1680://user:secret@61341/{A}?sign=x&place=above", "front, behind or platform"),
        (f"sms1680://user:secret@61341/{A}?form=sha1", "md5 or plain"),
        (f"sms1680://user:secret@61341/{A}?rate=fast", "rate must be a number"),
        (f"sms1680://user:secret@61341/{A}?rate=-1", "rate must be a number"),
        (f"sms1680://user:secret@61341/{A}?dedupe=nan", "dedupe must be a number"),
        (f"sms1680://user:secret@61341/{A}?dedupe=1e9", "dedupe must be a number"),
    ],
)
def test_invalid_url_names_the_remedy_and_no_secret(url: str, sentence: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(TypeError, match=sentence) as raised:
        load(url)
    assert "secret" not in str(raised.value) + caplog.text
    assert re.search(sentence, caplog.text)


@pytest.mark.parametrize("nothing", [None, object(), 42, "", "sms1680", "http//x"])
def test_parse_url_returns_none_for_other_values(nothing: object) -> None:
    assert NotifySMS1680.parse_url(nothing) is None


def test_password_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMS1680_PASSWORD", "secret")
    service = load(f"sms1680://user@61341/{A}")
    assert service._account.password == MD5
    assert MD5 not in service.url()
    assert "secret" not in service.url()
    assert settings(load(service.url())) == settings(service)
    monkeypatch.delenv("SMS1680_PASSWORD")
    monkeypatch.setenv("SMS1680_PASSWORD_MD5", MD5)
    assert load(f"sms1680://user@61341/{A}")._account.password == MD5


def test_environment_password_is_only_sent_to_known_gateways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMS1680_PASSWORD", "secret")
    with pytest.raises(TypeError, match=r"only sent to .* SMS1680_GATEWAY"):
        load(f"sms1680://user@61341/{A}?gateway=http://evil.example")
    monkeypatch.setenv("SMS1680_GATEWAY", "http://Mine.example:80/")
    assert load(f"sms1680://user@61341/{A}?gateway=http://mine.example").gateway == "http://mine.example"


def test_details_contain_every_option() -> None:
    listed = details(NotifySMS1680)
    wanted = {
        "gateway",
        "extension",
        "xh",
        "from",
        "signature",
        "sign",
        "place",
        "to",
        "batch",
        "rate",
        "dedupe",
        "stamp",
        "cap",
        "critical",
        "repeat",
        "state",
    }
    assert wanted <= set(listed["args"])
    assert listed["tokens"]["password"]["private"]
    assert listed["tokens"]["targets"]["required"]


def test_service_can_be_pickled() -> None:
    service = load(f"sms1680://user:secret@61341/{A}?dedupe=5&signature=某某")
    again = pickle.loads(pickle.dumps(service))
    assert settings(again) == settings(service)
    assert again.url() == service.url()


def test_url_to_dict() -> None:
    found = url_to_dict(f"sms1680://user:secret@61341/{A}")
    assert found["product_id"] == "61341"
    assert found["schema"] == "sms1680"


def test_setup_url_is_the_repository() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["urls"]["Repository"] == NotifySMS1680.setup_url
