"""Reads a `curl` command, as typed, or as browsers copy it."""

import re
import shlex

from dpop_asgi.cli.explain.message import Message
from dpop_asgi.cli.explain.reading.fields import SHELL_VARIABLE, Fields, request
from dpop_asgi.cli.unusable import Unusable

# Options with a value. The others are flags, which may be written together: -sSLi.
_VALUED = """
    abstract-unix-socket alt-svc aws-sigv4 cacert capath cert cert-type ciphers config connect-timeout connect-to
    continue-at cookie cookie-jar create-file-mode crlfile curves data data-ascii data-binary data-raw data-urlencode
    delegation dns-interface dns-ipv4-addr dns-ipv6-addr dns-servers doh-url dump-header ech egd-file engine
    etag-compare etag-save expect100-timeout form form-string ftp-account ftp-alternative-to-user ftp-method ftp-port
    ftp-ssl-ccc-mode happy-eyeballs-timeout-ms haproxy-clientip header hostpubmd5 hostpubsha256 hsts interface ip-tos
    ipfs-gateway json keepalive-cnt keepalive-time key key-type knownhosts krb libcurl limit-rate local-port
    login-options mail-auth mail-from mail-rcpt max-filesize max-redirs max-time netrc-file noproxy oauth2-bearer output
    output-dir parallel-max parallel-max-host pass pinnedpubkey preproxy proto proto-default proto-redir proxy
    proxy-cacert proxy-capath proxy-cert proxy-cert-type proxy-ciphers proxy-crlfile proxy-header proxy-key
    proxy-key-type proxy-pass proxy-pinnedpubkey proxy-service-name proxy-tls13-ciphers proxy-tlsauthtype
    proxy-tlspassword proxy-tlsuser proxy-user proxy1.0 pubkey quote random-file range rate referer request
    request-target resolve retry retry-delay retry-max-time sasl-authzid service-name sigalgs socks4 socks4a socks5
    socks5-gssapi-service socks5-hostname speed-limit speed-time stderr telnet-option tftp-blksize time-cond tls-max
    tls13-ciphers tlsauthtype tlspassword tlsuser trace trace-ascii trace-config unix-socket upload-file upload-flags
    url url-query user user-agent variable vlan-priority write-out
"""
_LONG = frozenset(_VALUED.split())
_LETTERS = """
    A=user-agent b=cookie c=cookie-jar C=continue-at d=data D=dump-header e=referer E=cert F=form H=header
    K=config m=max-time o=output P=ftp-port Q=quote r=range t=telnet-option T=upload-file u=user U=proxy-user
    w=write-out x=proxy X=request y=speed-time Y=speed-limit z=time-cond
"""
_SHORT = dict(pair.split("=") for pair in _LETTERS.split())
_FLAGS = {"I": "head", "G": "get"}
# The method that an option stands for, unless there is a `--request`.
_METHODS = {"head": "HEAD", "get": "GET", "upload-file": "PUT"}
_POSTED = ("data", "data-ascii", "data-binary", "data-raw", "data-urlencode", "form", "form-string", "json")

# $'…', and the escapes in it that matter here (bash, "ANSI-C Quoting").
_DOLLAR_QUOTED = re.compile(r"(?<!\S)\$'((?:[^'\\]|\\.)*)'", re.DOTALL)
_ESCAPED = re.compile(r"\\(?:[ux]([0-9A-Fa-f]{2,4})|(.))", re.DOTALL)


def read_curl(text: str) -> Message:
    """The request that a command sends.

    Raises:
        Unusable: If it isn't a complete command.
    """
    try:
        words = shlex.split(_for_shlex(re.sub(r"[\\^]\r?\n", " ", text)))
    except ValueError:
        raise Unusable("The curl command is cut off: a quotation mark is missing.") from None
    options, urls = _parsed(words[1:])
    given = {name: value for name, value in options if name != "header"}
    urls += [given["url"]] if "url" in given else []
    fields: Fields = []
    for header in (value for name, value in options if name == "header"):
        name, _, value = header.partition(":")
        fields.append((name.strip(), value))
    # Of several words, one may be the value of an option that isn't known here.
    url = next((each for each in urls if "://" in each), next(iter(urls), None))
    if url is not None and "://" not in url:
        url = f"http://{url}"
    if url is not None and SHELL_VARIABLE.match(url.partition("://")[2]):
        url = None
    return request("a curl command", _method(given), url, fields)


def _for_shlex(text: str) -> str:
    """The command without what only cmd.exe and bash know; browsers copy commands for both."""
    if '^"' in text:
        # A caret before each character that could be special for cmd.exe.
        text = re.sub(r"\^(.)", r"\1", text)
    return _DOLLAR_QUOTED.sub(lambda found: shlex.quote(_ESCAPED.sub(_unescaped, found[1])), text)


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else found[2]


def _method(given: dict[str, str]) -> str:
    if "request" in given:
        return given["request"]
    implied = [method for name, method in _METHODS.items() if name in given]
    return implied[0] if implied else "POST" if any(name in given for name in _POSTED) else "GET"


def _parsed(words: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """The options with their values, and what isn't an option: URLs."""
    options: list[tuple[str, str]] = []
    urls: list[str] = []
    rest = iter(words)
    for word in rest:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            options.append((name, value if equals else next(rest, "") if name in _LONG else ""))
        elif word.startswith("-") and len(word) > 1:
            options.extend(_short(word[1:], rest))
        else:
            urls.append(word)
    return options, urls


def _short(letters: str, rest: "iter[str]") -> list[tuple[str, str]]:  # type: ignore[valid-type]
    """-sSLXPOST is three flags, and an option with its value."""
    for number, letter in enumerate(letters):
        if letter in _SHORT:
            flags = [(_FLAGS[flag], "") for flag in letters[:number] if flag in _FLAGS]
            return [*flags, (_SHORT[letter], letters[number + 1 :] or next(rest, ""))]
    return [(_FLAGS[flag], "") for flag in letters if flag in _FLAGS]
