"""Rules about several values of a campaign file together: each yields (path, what is wrong).

The rules read the plain YAML values, so that their errors are reported together with those of single values;
each rule ignores values of an unexpected type.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from campaign.address import AddressError, domain_in, parse_mailbox
from campaign.campaignfile.readers import absent, is_folder, is_template, seconds, unfit_name
from campaign.campaignfile.spelling import existing, meant
from campaign.campaignfile.yamlmarks import Path as ValuePath
from campaign.model import ITEM, RESERVED
from campaign.wording import shown

Found = Iterator[tuple[ValuePath, str]]
Values = Mapping[str, object]

_IMAP: ValuePath = ("bounces", "imap")
_PASSWORDS = ("password", "pass", "passwd", "pwd", "token", "secret", "api_key", "apikey", "access_token")
# Header fields that this program or receivers write.
_OURS = re.compile(
    r"(from|to|cc|bcc|reply-to|subject|date|message-id|mime-version|content-.*|list-unsubscribe(-post)?|list-id"
    r"|auto-submitted|sender|return-path|received|dkim-signature|authentication-results|arc-.*)",
    re.IGNORECASE,
)
# A name, an IPv4 address, or an IPv6 address, with or without brackets; the look-up applies IDNA.
_HOST = re.compile(r"(?:[\w-]+\.)*[\w-]+\.?|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?")
_FIELD_NAME = re.compile(r"[!-9;-~]{1,76}")  # RFC 5322 3.6.8: printable ASCII, no colon
# RFC 5321 4.1.1.1 and 4.1.3: a domain, or an address literal.
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = rf"(?!.{{254}}){_LABEL}(?:\.{_LABEL})*"
_CLIENT_NAME = re.compile(rf"{_DOMAIN}|\[(?:[0-9.]+|IPv6:[0-9A-Fa-f:.]+)\]")
_SERVER_NAME = re.compile(rf"{_DOMAIN}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*")
_TOKEN = re.compile(r"\{\{-?\s*bounce\.token\s*-?\}\}")
_ITEM = re.compile(rf"\b{ITEM}\b")
_LIST_ID = re.compile(r"[^<>]*<[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+>|[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+")


def is_loopback(host: str) -> bool:
    """Whether traffic to `host` stays on this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def passwords(values: Values, within: ValuePath) -> Found:
    """Yield an error for each secret in the file itself, without repeating its value."""
    sources = "password_env, password_command or password_file"
    for key in values:
        if key.lower() in _PASSWORDS:
            ways = sources if within in (("smtp",), _IMAP) else f"{sources}, under `smtp:`"
            if within == ("unsubscribe",):
                ways = "secret_env, secret_command or secret_file"
            elif "token" in key.lower():
                ways = "token_command" if within in (("smtp",), _IMAP) else "token_command, under `smtp:`"
            yield (*within, key), f"a secret does not belong in this file; say where it comes from: {ways}"


def variables(values: Values, within: ValuePath) -> Found:
    """Yield an error for each variable name that does not look like one: it may be the secret itself."""
    for key in ("password_env", "secret_env"):
        name = values.get(key)
        if isinstance(name, str) and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            yield (*within, key), "expected the name of an environment variable, such as SMTP_PASSWORD"


def smtp(values: Values, *, has_literal: bool = False) -> Found:
    """Check the server's settings. Paths are relative to them.

    `has_literal`: they contained a secret, which was reported.
    """
    yield from _host(values.get("host"))
    yield from _names_in_session(values)
    yield from variables(values, ())
    host, security, port = values.get("host"), values.get("security"), values.get("port")
    if security == "none" and isinstance(host, str) and not is_loopback(host):
        yield ("security",), "`none` is for servers on this machine; write starttls, or tls"
    if port == 465 and security == "starttls":
        yield ("security",), "port 465 speaks TLS from the start; write tls, or another port"
    yield from _login(values, has_literal)
    if bool(values.get("client_cert")) != bool(values.get("client_key")) and values.get("client_key"):
        yield ("client_key",), "needs client_cert beside it"


def imap(values: Values, *, has_literal: bool = False) -> Found:
    """Check the settings of a mailbox. Paths are relative to them."""
    yield from _host(values.get("host"))
    yield from variables(values, ())
    yield from _login(values, has_literal)


def _login(values: Values, has_literal: bool) -> Found:
    secrets = [
        k for k in ("password_env", "password_command", "password_file", "token_command") if values.get(k)
    ]
    if len(secrets) > 1:
        yield (secrets[1],), f"{' and '.join(secrets)} cannot both be given; keep one"
    auth = values.get("auth")
    if values.get("username") and not secrets and not has_literal and auth != "xoauth2":
        yield ("username",), "needs a password: add password_env, password_command or password_file"
    if (secrets or auth) and not values.get("username"):
        yield (secrets[0] if secrets else "auth",), "needs `username` beside it"
    if auth != "xoauth2" and "token_command" in values:
        yield ("token_command",), "is for `auth: xoauth2`; write that beside it"
    if auth == "xoauth2" and "token_command" not in values and not has_literal:
        yield ("auth",), "xoauth2 needs token_command, a command that prints an access token"


def campaign(values: Values, *, has_literal: bool = False) -> Found:
    """Check the campaign's own values.

    `has_literal`: `unsubscribe` contained a secret, which was reported.
    """
    yield from _subject_and_bodies(values)
    yield from _names(values)
    yield from _addresses(values)
    yield from _unsubscribe(values, has_literal)
    yield from _delays(values)
    list_id = values.get("list_id")
    if isinstance(list_id, str) and not is_template(list_id) and not _LIST_ID.fullmatch(list_id.strip()):
        yield ("list_id",), "expected a name in angle brackets, such as News <news.example.com>"


def _delays(values: Values) -> Found:
    retry = values.get("retry")
    if not isinstance(retry, dict) or "first_delay" not in retry:
        return
    longest = retry.get("max_delay", "1h")
    with suppress(ValueError):  # the error of the value itself is reported elsewhere
        if seconds(retry["first_delay"]) > seconds(longest):
            yield ("retry", "first_delay"), f"is longer than max_delay, {longest}"


def attachments(values: Values, folder: Path) -> Found:
    """Check that attachments whose path is not a template exist, and are inside the root."""
    given = values.get("attachments_root")
    root = folder / given if isinstance(given, str) else folder
    items = values.get("attachments") if is_folder(root) else ()
    for index, item in enumerate(items if isinstance(items, list) else []):
        each = item.get("each") if isinstance(item, dict) else None
        if isinstance(each, str) and isinstance(item.get("path"), str) and not _ITEM.search(item["path"]):
            what = "names the same file for each item; write {{ item }} where they differ"
            yield ("attachments", index, "path"), what
            continue
        path = item.get("path") if isinstance(item, dict) else item
        where: ValuePath = (
            ("attachments", index, "path") if isinstance(item, dict) else ("attachments", index)
        )
        if not isinstance(path, str) or is_template(path) or "\0" in path:
            continue
        try:
            file = existing(root, path).resolve()
            if not file.is_relative_to(root.resolve()):
                outside = f"{path!r} is outside attachments_root ({shown(root)})"
                yield where, f"{outside}; copy the file into that folder"
            elif not file.is_file() and file.exists() and not file.is_dir():
                yield where, f"{path!r} is a pipe or a device; a file is expected"
            elif file.is_dir():
                yield where, f"{path!r} is a folder; a file is expected"
            elif not file.is_file():
                near = meant(root, path)
                yield where, absent(path, root / path) + (f"; did you mean {near!r}?" if near else "")
        except (OSError, RuntimeError):  # a name that is too long, or a loop of links
            yield where, f"{path[:60]!r} cannot be read"


def _host(host: object) -> Found:
    if not isinstance(host, str) or not host or _HOST.fullmatch(host):
        return
    if "@" in host:  # user:password@host is not repeated
        yield ("host",), "expected only a server's name, such as smtp.example.com"
    elif port := re.fullmatch(r"([^:/]+):([0-9]+)", host):
        yield ("host",), f"write the port on a line of its own: `host: {port[1]}` and `port: {port[2]}`"
    elif match := re.match(r"[a-z]+://([^/:]+)", host):
        yield ("host",), f"expected only a server's name: `host: {match[1]}`"
    else:
        yield ("host",), f"expected a server's name, such as smtp.example.com, got {host[:60]!r}"


def _names_in_session(values: Values) -> Found:
    client, server = values.get("client_name"), values.get("server_name")
    if isinstance(client, str) and not _CLIENT_NAME.fullmatch(client):
        wanted = "this machine's full name, such as mail.example.com, or [192.0.2.1]"
        yield ("client_name",), f"expected {wanted}, got {client[:60]!r}"
    if isinstance(server, str) and not _SERVER_NAME.fullmatch(server):
        wanted = "the name in the server's certificate, such as smtp.example.com"
        yield ("server_name",), f"expected {wanted}, got {server[:60]!r}"
    if server is not None and values.get("security") == "none":
        yield ("server_name",), "`security: none` uses no certificate; remove it"


def _subject_and_bodies(values: Values) -> Found:
    bodies = values.get("templates")
    bodies = bodies if isinstance(bodies, dict) else {}
    if values.get("subject") is None and bodies.get("subject") is None:
        yield ("subject",), "is missing: write a subject here, or name its file in templates.subject"
    if values.get("subject") is not None and bodies.get("subject") is not None:
        yield ("templates", "subject"), "the subject is also given inline; keep one of the two"
    if isinstance(values.get("templates"), dict) and not any(
        bodies.get(k) for k in ("text", "html", "markdown", "mjml")
    ):
        yield ("templates",), "has no body: add text, html, markdown or mjml"
    for other in ("text", "html", "mjml"):
        if bodies.get("markdown") and bodies.get(other):
            yield ("templates", other), "both parts are made from markdown; keep one of the two"
    if bodies and not any(bodies.get(k) for k in ("html", "markdown", "mjml")):
        for key in ("preheader", "utm"):
            if values.get(key) is not None:
                yield (key,), "needs an HTML part, and there is none: add html, markdown or mjml"
    utm = values.get("utm")
    if isinstance(utm, dict) and not utm.keys() - {"domains"}:
        yield (
            ("utm",),
            "has no parameter: add utm_source, utm_medium or another of `campaign guide campaign-file`",
        )
    if isinstance(utm, dict) and not utm.get("domains") and "{" in domain_in(str(values.get("from"))):
        yield (
            ("utm",),
            "needs `domains`: the domain in `from`, whose links get the parameters, depends on the row",
        )
    if bodies.get("mjml") and bodies.get("html"):
        yield ("templates", "html"), "the HTML part is made from mjml; keep one of the two"


def _names(values: Values) -> Found:
    constants, headers = values.get("vars"), values.get("headers")
    for what in unfit_name(values.get("name")):
        yield ("name",), what
    for key in constants if isinstance(constants, dict) else {}:
        if key in RESERVED:
            yield ("vars", key), f"templates have {key!r} from us; choose another name"
        elif not key.isidentifier():
            yield ("vars", key), "is not a name that templates can use; use letters, digits and _"
    seen: dict[str, str] = {}
    for key in headers if isinstance(headers, dict) else {}:
        if seen.setdefault(key.lower(), key) != key:
            yield ("headers", key), f"is {seen[key.lower()]} again: header names ignore case"
        if not _FIELD_NAME.fullmatch(key):
            yield ("headers", key), "is not a header name"
        elif _OURS.fullmatch(key):
            yield ("headers", key), "is set by the campaign's other keys"


def _is_list(text: str) -> bool:
    """Whether `text` is several addresses, or templates of them, separated by commas or semicolons."""
    bare = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "\0", re.sub(r'"[^"]*"(?=\s*<)', "", text))
    parts = [part.strip() for part in re.split("[,;]", bare)]
    return len(parts) > 1 and all("@" in part or part == "\0" for part in parts)


def _addresses(values: Values) -> Found:
    fields: list[tuple[ValuePath, object]] = [
        (("from",), values.get("from")),
        (("sender",), values.get("sender")),
    ]
    for key in ("reply_to", "cc", "bcc"):
        given = values.get(key)
        if isinstance(given, list):
            fields += [((key, index), item) for index, item in enumerate(given)]
        else:
            fields.append(((key,), given))
    unsubscribe = values.get("unsubscribe")
    if isinstance(unsubscribe, dict):
        fields.append((("unsubscribe", "mailto"), unsubscribe.get("mailto")))
    fields.append((("envelope_from",), values.get("envelope_from")))
    for path, text in fields:
        if path[0] in ("cc", "bcc", "reply_to") and isinstance(text, str) and _is_list(text):
            yield path, "holds several addresses; write a list, one address an entry: [ADDRESS, ADDRESS]"
            continue
        null_path = path == ("envelope_from",) and text == "<>"  # RFC 5321 4.5.5: the null reverse-path
        if isinstance(text, str) and text and not null_path and not is_template(text):
            try:
                mailbox = parse_mailbox(text)
            except AddressError as error:
                yield path, str(error)
            else:
                if path[0] in ("unsubscribe", "envelope_from") and mailbox.name:
                    yield path, "expected an address alone, without a name"


def _unsubscribe(values: Values, has_literal: bool) -> Found:
    unsubscribe = values.get("unsubscribe")
    if not isinstance(unsubscribe, dict):
        return
    mailto = unsubscribe.get("mailto")
    if isinstance(mailto, str) and is_template(_TOKEN.sub("", mailto)):
        yield ("unsubscribe", "mailto"), "may contain {{ bounce.token }}, but no other template syntax"
    url = unsubscribe.get("url")
    if not url and not unsubscribe.get("mailto"):
        yield ("unsubscribe",), "has no way to unsubscribe: add mailto, url, or both"
    sources = [key for key in ("secret_env", "secret_command", "secret_file") if unsubscribe.get(key)]
    if len(sources) > 1:
        yield ("unsubscribe", sources[1]), f"{' and '.join(sources)} cannot both be given; keep one"
    yield from variables(unsubscribe, ("unsubscribe",))
    if isinstance(url, str):
        if not re.match(r"https?://|\{[{%]", url):
            yield ("unsubscribe", "url"), "expected an address that begins with https://"
        elif unsubscribe.get("one_click") is True and url.startswith("http://"):
            yield ("unsubscribe", "url"), "one_click needs https (RFC 8058 3.1)"
        if "unsubscribe.token" in url and not sources and not has_literal:
            what = "has a token, which needs a secret: add secret_env, secret_command or secret_file"
            yield ("unsubscribe", "url"), what
    elif unsubscribe.get("one_click") is True and unsubscribe.get("mailto"):
        yield ("unsubscribe", "one_click"), "needs `url` beside it"
