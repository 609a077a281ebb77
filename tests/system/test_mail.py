"""The post: what a mail says, and that servers of every temper get it once, or a reason is given."""

import re
import socket
import ssl
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword
from support.programs import make_certificate
from support.smtp_server import Server, running

from ckanpackager.config.settings import Mail
from ckanpackager.errors import PermanentFailure, TemporaryFailure
from ckanpackager.mail.compose import compose
from ckanpackager.mail.send import check, send

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
VALUES = {
    "resource_id": "9f1c",
    "zip_file_name": "ab12.zip",
    "ckan_host": "data.example.org",
    "download_url": "https://data.example.org/ab12.zip",
    "title": "Specimens",
    "rows": "12",
    "size": "3 MB",
    "expires": "1 December 2026",
    "job": "20261124-0f",
}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, and its key, in one file."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "DNS:localhost")


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


def mail(values: dict[str, str] | None = None, recipient: str = "ann@example.org", **settings: Any) -> EmailMessage:
    kind = settings.pop("kind", "link")
    job = settings.pop("job", "20261124-0f")
    return compose(Mail(**settings), recipient, VALUES | (values or {}), kind=kind, job=job, now=NOW)


def to(server: Server | int, **others: Any) -> Mail:
    port = server if isinstance(server, int) else server.port
    return Mail(**{"smtp_host": "localhost", "smtp_port": port, "smtp_timeout": 5, **others})


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    text = str(body.get_content()).replace("\r\n", "\n")
    found = re.search('<div class="mail">\n(.*)\n</div>\n</body>', text, re.DOTALL)
    return found[1] if found else text  # without the page that is put around HTML


def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
    return AuthResult(success=given == LoginPassword(b"packager", b"hunter2"), handled=False)


def by_login(tls: ssl.SSLContext) -> dict[str, Any]:
    return {"tls_context": tls, "authenticator": authenticate, "auth_required": True}


# What a mail says


def test_the_mail_with_the_link_holds_it_as_text_and_as_html() -> None:
    message = mail()
    assert message.get_content_type() == "multipart/alternative"
    assert "https://data.example.org/ab12.zip" in part(message, "plain")
    assert '<a class="button" href="https://data.example.org/ab12.zip">' in part(message, "html")
    assert message["Subject"] == "Your data is ready: Specimens"


def test_html_that_is_a_page_already_stays_as_it_is() -> None:
    page = "<!DOCTYPE html>\n<html><body><p>{download_url}</p></body></html>"
    sent = mail(email_body_html=page).get_body(("html",))
    assert sent and sent.get_content().strip() == page.format(download_url=VALUES["download_url"])


def test_the_templates_of_the_original_still_render() -> None:
    body = (
        "The link to the resource you requested on {ckan_host} is available at:\nhttp://{ckan_host}/{zip_file_name}\n"
    )
    message = mail(email_subject="Resource from {ckan_host}", email_body=body, email_body_html=None)
    assert message["Subject"] == "Resource from data.example.org"
    assert "http://data.example.org/ab12.zip" in part(message, "plain")


def test_the_mail_of_a_failure_says_why() -> None:
    message = mail({"error": "CKAN: 404 <Not found>"}, kind="failure")
    assert message["Subject"] == "Resource from data.example.org could not be packaged"
    assert "CKAN: 404 <Not found>" in part(message, "plain")
    assert "CKAN: 404 &lt;Not found&gt;" in part(message, "html")


def test_without_an_html_template_the_mail_is_plain_text() -> None:
    assert mail(email_body_html=None).get_content_type() == "text/plain"
    assert mail(email_failure_body_html=None, kind="failure").get_content_type() == "text/plain"


def test_a_doi_brings_its_text_with_it() -> None:
    message = mail({"doi": "10.5519/<x>"})
    assert "https://doi.org/10.5519/<x>" in part(message, "plain")
    assert '<a href="https://doi.org/10.5519/&lt;x&gt;">' in part(message, "html")


def test_without_a_doi_there_is_no_text_about_one() -> None:
    message = mail()
    assert "doi" not in (part(message, "plain") + part(message, "html")).lower()


def test_values_that_are_missing_are_empty() -> None:
    message = compose(Mail(), "a@example.org", {"download_url": "x"}, kind="link", job="j", now=NOW)
    assert "Rows" not in part(message, "plain")


def test_html_in_a_value_stays_text() -> None:
    message = mail({"ckan_host": "<script>", "doi_body_html": "<script>"}, email_body_html="{ckan_host}{doi_body_html}")
    assert part(message, "html").strip() == "&lt;script&gt;"


def test_the_headers_say_who_when_and_that_no_human_wrote_it() -> None:
    message = mail(email_from="Data Portal <data@example.org>")
    assert message["From"] == "Data Portal <data@example.org>"
    assert message["To"] == "ann@example.org"
    assert message["Date"] == "Tue, 24 Nov 2026 12:30:00 +0000"
    assert message["Auto-Submitted"] == "auto-generated"


def test_the_message_id_depends_on_the_job_and_on_the_kind_of_mail_only() -> None:
    sender: Any = {"email_from": "Data Portal <data@example.org>"}
    assert (
        mail(**sender)["Message-ID"] == mail({"rows": "13"}, **sender)["Message-ID"] == "<20261124-0f.link@example.org>"
    )
    assert mail(kind="failure", **sender)["Message-ID"] == "<20261124-0f.failure@example.org>"


def test_a_long_message_id_is_not_folded() -> None:
    job = "j" * 100
    assert f"Message-ID: <{job}.link@localhost>\r\n".encode() in mail(job=job).as_bytes()


@pytest.mark.parametrize(
    "breaks", ["\r\n", "\n", "\r", "\r\n\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\0"]
)
def test_no_value_can_begin_a_header(breaks: str) -> None:
    evil = f"x{breaks}Bcc: eve@example.org{breaks}{breaks}body"
    message = mail(dict.fromkeys(VALUES, evil), email_subject="{ckan_host} {resource_id}", email_body="text")
    sent = message_from_bytes(message.as_bytes(), policy=default)
    assert sent["Bcc"] is None
    assert set(sent.keys()) == set(message.keys())
    assert str(sent["Subject"]) == "x Bcc: eve@example.org body x Bcc: eve@example.org body"


@pytest.mark.parametrize("breaks", ["\r\n", "\n", "\r", "\u2028"])
def test_no_value_can_begin_a_line_of_the_text(breaks: str) -> None:
    message = mail({"rows": f"1{breaks}Pay here"}, email_body="Rows: {rows}")
    assert part(message, "plain") == "Rows: 1 Pay here\n"


@pytest.mark.parametrize(
    "recipient",
    [
        *("", "@", "a@", "@b", "a", "a@b, c@d", "a@b c@d", "a@b\r\nBcc: c@d", "a@b>", "<a@b", "a@b\0", "A <a@b>"),
        *("g:a@b;", "a@b..c", "a@.b", "a@\uff42\uff20c", "a@b\u2100", "\udc80@b"),
    ],
)
def test_what_is_not_exactly_one_address_gets_no_mail(recipient: str) -> None:
    with pytest.raises(PermanentFailure, match="is no e-mail address"):
        mail(recipient=recipient)


@pytest.mark.parametrize(
    ("sender", "values", "header"),
    [
        ("{ckan_host} <no-reply@{ckan_host}>", {}, '"data.example.org" <no-reply@data.example.org>'),
        ("<no-reply@{ckan_host}>", {"ckan_host": "data.example.org:5000"}, "no-reply@data.example.org"),
        ("Rows of {resource_id} <a@b.org>", {"resource_id": "x <eve@e.org>"}, '"Rows of x <eve@e.org>" <a@b.org>'),
        ("{doi} <a@b.org>", {"doi": ""}, "a@b.org"),
    ],
)
def test_the_sender_may_use_placeholders_and_no_value_takes_its_place(sender: str, values: Any, header: str) -> None:
    message = mail(values, email_from=sender)
    assert str(message["From"]).replace('"', "") == header.replace('"', "")
    (address,) = message["From"].addresses
    assert address.addr_spec == header.rpartition("<")[2].rstrip(">")


def test_a_value_that_makes_no_address_of_the_sender_lets_the_mail_wait() -> None:
    with pytest.raises(TemporaryFailure, match="email_from"):
        mail({"resource_id": "a@b"}, email_from="{resource_id}@example.org")


@pytest.mark.parametrize("sender", ["", "nobody", "Name <nobody>", "a@b, c@d"])
def test_a_sender_that_is_no_address_can_be_mended(sender: str) -> None:
    with pytest.raises(TemporaryFailure, match="email_from"):
        mail(email_from=sender)


def test_a_subject_may_be_in_any_script_and_of_any_length() -> None:
    for host in ("donn\xe9es.example", "\u6a19\u672c" * 500, "\U0001f41d", "x" * 3000, "half \ud800"):
        wire = mail({"title": host}).as_bytes()
        assert wire.isascii() and max(map(len, wire.split(b"\r\n"))) < 998
        subject = message_from_bytes(wire, policy=default)["Subject"]
        assert str(subject) == f"Your data is ready: {host}".replace("\ud800", "\\ud800")


@pytest.mark.parametrize("text", ["caf\xe9", "\u6a19\u672c " * 700, "x" * 2000, "\xe9" * 2000, ".", "From me", "a=b  "])
def test_any_text_travels_as_short_lines_of_ascii(text: str) -> None:
    wire = mail(email_body=f"\n{text}\n.\nend", email_body_html=f"<p>{text}</p>").as_bytes()
    assert wire.isascii() and max(map(len, wire.split(b"\r\n"))) < 998
    message = message_from_bytes(wire, policy=default)
    assert isinstance(message, EmailMessage)
    assert part(message, "plain") == f"\n{text}\n.\nend\n"
    assert part(message, "html") == f"<p>{text}</p>".strip()


def test_a_sender_may_have_a_name_in_any_script() -> None:
    sent = message_from_bytes(mail(email_from='"Donn\xe9es, Mus\xe9e" <d@example.org>').as_bytes(), policy=default)
    assert sent["From"].addresses[0].display_name == "Donn\xe9es, Mus\xe9e"
    assert sent["From"].addresses[0].addr_spec == "d@example.org"


@pytest.mark.parametrize(
    ("domain", "ascii"),
    [
        ("B\xdcCHER.example", "xn--bcher-kva.example"),
        ("stra\xdfe.example", "xn--strae-oqa.example"),
        ("\u4f8b\u3048\u3002jp", "xn--r8jz45g.jp"),
        ("Example.ORG", "example.org"),
    ],
)
def test_a_domain_in_any_script_is_written_as_the_dns_has_it(domain: str, ascii: str) -> None:
    assert mail(recipient=f"ann@{domain}")["To"] == f"ann@{ascii}"


# Mail servers


def test_a_plain_server_gets_the_mail() -> None:
    with running(Server()) as server:
        send(mail({"title": "donn\xe9es"}), to(server))
    (envelope,) = server.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("nobody@localhost", ["ann@example.org"])
    assert envelope.content.isascii()
    assert server.received()["Subject"] == "Your data is ready: donn\xe9es"


def test_a_text_of_dots_arrives_whole() -> None:
    with running(Server()) as server:
        send(mail(email_body=".\n..\nend", email_body_html=None), to(server))
    assert part(server.received(), "plain") == ".\n..\nend\n"


def test_starttls_encrypts_before_login_and_mail(tls: ssl.SSLContext, trusted: None) -> None:
    with running(Server(), **by_login(tls), require_starttls=True) as server:
        settings = to(server, smtp_security="starttls", smtp_login="packager", smtp_password="hunter2")
        send(mail(), settings)
        assert "STARTTLS, logged in as packager" in check(settings)
    assert len(server.envelopes) == 1


def test_tls_encrypts_from_the_first_byte(tls: ssl.SSLContext, trusted: None) -> None:
    with running(Server(), tls) as server:
        send(mail(), to(server, smtp_security="tls"))
        assert "encrypted by TLS, without login" in check(to(server, smtp_security="tls"))
    assert len(server.envelopes) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_an_untrusted_certificate_is_refused(tls: ssl.SSLContext, security: str) -> None:
    options = {"tls_context": tls} if security == "starttls" else {"tls": tls}
    with running(Server(), **options) as server, pytest.raises(TemporaryFailure, match=r"certificate.*smtp_host"):
        send(mail(), to(server, smtp_security=security))
    assert not server.envelopes


def test_a_certificate_for_another_name_is_refused(tls: ssl.SSLContext, trusted: None) -> None:
    with running(Server(), tls) as server, pytest.raises(TemporaryFailure, match=r"certificate.*smtp_host"):
        send(mail(), to(server, smtp_host="127.0.0.1", smtp_security="tls"))


def test_a_server_without_starttls_gets_no_mail_when_it_is_asked_for() -> None:
    with running(Server()) as server, pytest.raises(TemporaryFailure, match=r"STARTTLS.*check smtp_security"):
        send(mail(), to(server, smtp_security="starttls"))
    assert not server.envelopes


def test_tls_to_a_server_that_speaks_plainly_is_explained() -> None:
    with running(Server()) as server, pytest.raises(TemporaryFailure, match="smtp_security"):
        send(mail(), to(server, smtp_security="tls"))


def test_a_refused_login_can_be_mended_and_shows_no_password(tls: ssl.SSLContext, trusted: None) -> None:
    with running(Server(), **by_login(tls)) as server, pytest.raises(TemporaryFailure) as error:
        send(mail(), to(server, smtp_security="starttls", smtp_login="packager", smtp_password="secret-1"))
    assert f"localhost:{server.port}: answered 535" in str(error.value)
    assert "check smtp_login and smtp_password" in str(error.value)
    assert "secret-1" not in str(error.value)


def test_a_login_that_the_server_does_not_offer_can_be_mended() -> None:
    with running(Server()) as server, pytest.raises(TemporaryFailure, match=r"AUTH.*smtp_security"):
        send(mail(), to(server, smtp_login="packager", smtp_password="secret-1"))


def test_a_password_that_cannot_be_sent_can_be_mended_and_is_not_shown() -> None:
    with running(Server()) as server, pytest.raises(TemporaryFailure, match="ASCII") as error:
        send(mail(), to(server, smtp_login="packager", smtp_password="s\xe9cret"))
    assert "s\xe9cret" not in str(error.value) and error.value.__context__ is None


def test_a_server_that_wants_a_login_says_so(tls: ssl.SSLContext, trusted: None) -> None:
    with running(Server(), **by_login(tls)) as server, pytest.raises(TemporaryFailure, match=r"530.*smtp_login"):
        send(mail(), to(server, smtp_security="starttls"))


@pytest.mark.parametrize("where", ["mail", "rcpt", "data"])
@pytest.mark.parametrize("answer", ["421 Closing", "450 4.2.1 Greylisted, come back"])
def test_a_refusal_for_now_is_temporary(where: str, answer: str) -> None:
    with running(Server(**{where: answer})) as server, pytest.raises(TemporaryFailure, match=answer):
        send(mail(), to(server))


@pytest.mark.parametrize("where", ["rcpt", "data"])
def test_a_refusal_for_good_is_permanent_and_names_the_server(where: str) -> None:
    with running(Server(**{where: "550 5.1.1 No such user"})) as server, pytest.raises(PermanentFailure) as error:
        send(mail(), to(server))
    assert f"localhost:{server.port}" in str(error.value) and "550 5.1.1 No such user" in str(error.value)


def test_a_refused_sender_can_be_mended() -> None:
    with (
        running(Server(mail="550 5.7.1 Not you")) as server,
        pytest.raises(TemporaryFailure, match=r"Not you.*email_from"),
    ):
        send(mail(), to(server))


def test_a_refusal_of_many_lines_is_told_in_one() -> None:
    with (
        running(Server(rcpt="550-No\r\n550 such user")) as server,
        pytest.raises(PermanentFailure, match="No such user"),
    ):
        send(mail(), to(server))


@pytest.mark.parametrize("quit", [None, "421 Shutting down", "500 What?"])
def test_a_mail_is_accepted_whatever_happens_after_that(quit: str | None) -> None:
    with running(Server(quit=quit)) as server:
        send(mail(), to(server))
    assert len(server.envelopes) == 1


def test_a_connection_that_breaks_before_the_answer_is_temporary() -> None:
    with running(Server(data=None)) as server, pytest.raises(TemporaryFailure, match="closed"):
        send(mail(), to(server))


def test_a_port_without_a_server_is_temporary() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(TemporaryFailure, match=f"localhost:{port}: Connection refused; check smtp_host"):
            send(mail(), to(port))
        with pytest.raises(TemporaryFailure, match="Connection refused"):
            check(to(port))


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", ".b", "x" * 300])
def test_a_server_that_does_not_exist_is_temporary(host: str) -> None:
    with pytest.raises(TemporaryFailure, match="check smtp_host"):
        send(mail(), Mail(smtp_host=host))


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
def test_a_server_that_never_answers_is_temporary(security: str) -> None:
    with socket.socket() as stalled:
        stalled.bind(("127.0.0.1", 0))
        stalled.listen()
        settings = to(stalled.getsockname()[1], smtp_timeout=0.1, smtp_security=security)
        with pytest.raises(TemporaryFailure, match="timed out"):
            send(mail(), settings)


def test_an_address_that_needs_utf8_is_sent_to_a_server_that_takes_it() -> None:
    with running(Server(), enable_SMTPUTF8=True) as server:
        send(mail(recipient="andr\xe9@b\xfccher.example"), to(server))
    (envelope,) = server.envelopes
    assert envelope.rcpt_tos == ["andr\xe9@xn--bcher-kva.example"]
    assert "\r\nTo: andr\xe9@xn--bcher-kva.example\r\n".encode() in envelope.content


def test_an_address_that_needs_utf8_is_refused_where_the_server_does_not_take_it() -> None:
    with running(Server()) as server, pytest.raises(PermanentFailure, match=r"SMTPUTF8"):
        send(mail(recipient="andr\xe9@example.org"), to(server))


def test_checking_a_server_sends_nothing() -> None:
    with running(Server()) as server:
        assert check(to(server)) == f"The mail server localhost:{server.port} answers, unencrypted, without login."
    assert not server.envelopes


# The maildir


def into(maildir: Path) -> Mail:
    return Mail(mail_transport="maildir", mail_directory=str(maildir))


def test_a_maildir_gets_the_mail_as_a_file_in_new(tmp_path: Path) -> None:
    send(mail(), into(tmp_path / "mail"))
    (path,) = (tmp_path / "mail" / "new").iterdir()
    message = message_from_bytes(path.read_bytes(), policy=default)
    assert message["To"] == "ann@example.org"
    assert b"\r" not in path.read_bytes()
    assert list((tmp_path / "mail" / "tmp").iterdir()) == []


def test_a_maildir_is_for_its_owner_alone(tmp_path: Path) -> None:
    send(mail(), into(tmp_path / "mail"))
    for folder in (tmp_path / "mail", *(tmp_path / "mail" / name for name in ("tmp", "new", "cur"))):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_the_same_mail_twice_leaves_one_file(tmp_path: Path) -> None:
    send(mail(), into(tmp_path))
    send(mail({"rows": "13"}), into(tmp_path))
    assert len(list((tmp_path / "new").iterdir())) == 1


@pytest.mark.parametrize("flags", ["", ":2,", ":2,S"])
def test_the_same_mail_is_not_delivered_again_after_it_was_read(tmp_path: Path, flags: str) -> None:
    send(mail(), into(tmp_path))
    (path,) = (tmp_path / "new").iterdir()
    path.rename(tmp_path / "cur" / f"{path.name}{flags}")
    send(mail(), into(tmp_path))
    assert list((tmp_path / "new").iterdir()) == []


def test_different_mails_are_different_files(tmp_path: Path) -> None:
    for message in (mail(), mail(job="other"), mail(kind="failure")):
        send(message, into(tmp_path))
    assert len(list((tmp_path / "new").iterdir())) == 3


def test_a_message_id_cannot_leave_the_maildir(tmp_path: Path) -> None:
    send(mail(job="../../x:y"), into(tmp_path / "mail"))
    (path,) = (tmp_path / "mail" / "new").iterdir()
    assert "/" not in path.name and ":" not in path.name
    assert [path.name for path in tmp_path.iterdir()] == ["mail"]


def test_a_maildir_takes_an_address_that_needs_utf8(tmp_path: Path) -> None:
    send(mail(recipient="andr\xe9@example.org"), into(tmp_path))
    (path,) = (tmp_path / "new").iterdir()
    assert "\nTo: andr\xe9@example.org\n" in path.read_text("utf-8")


def test_a_maildir_that_cannot_be_written_is_temporary_and_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(TemporaryFailure, match=r"file: .*mail_directory"):
        send(mail(), into(tmp_path / "file"))
    with pytest.raises(TemporaryFailure, match=r"mail_directory: .*file"):
        check(into(tmp_path / "file"))


def test_a_failed_delivery_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(TemporaryFailure, match="No space left"):
        send(mail(), into(tmp_path))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_checking_a_maildir_makes_nothing(tmp_path: Path) -> None:
    assert check(into(tmp_path / "mail")) == f"Mail is written into the maildir {tmp_path / 'mail'}."
    assert list(tmp_path.iterdir()) == []
