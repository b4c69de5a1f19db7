"""`dpop-asgi keygen` and `dpop-asgi prove`: what they make is accepted, and the private key stays where it is."""

import json
import os
import stat
import subprocess

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.hazmat.primitives.serialization import load_pem_private_key as load
from typer.testing import CliRunner

from dpop_asgi.cli.app import app
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import Client

URL = "https://api.example.com/orders?customer=it's $HOME"


@pytest.fixture
def run(tmp_path, monkeypatch, no_settings):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments, **options: CliRunner().invoke(app, [str(each) for each in arguments], **options)


def _private(algorithm, made):
    """The key that `keygen` wrote, for the issuer to bind a token to."""
    text = (made if isinstance(made, str) else made.read_text()).strip()
    members = json.loads(text)
    return PrivateKey.from_jwk(algorithm, {name: value for name, value in members.items() if name != "alg"})


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "PS256", "Ed25519", "EdDSA", "RS256"])
def test_what_prove_makes_with_a_key_of_keygen_is_accepted(run, issuer, clock, tmp_path, monkeypatch, algorithm):
    clock.now = 4_000_000_000.0
    monkeypatch.setenv("DPOP_ALGORITHMS", algorithm)
    made = run("keygen", "client.jwk", "--alg", algorithm)
    private = _private(algorithm, tmp_path / "client.jwk")
    printed = json.loads(made.output)
    assert printed == {"thumbprint": private.thumbprint, "public_jwk": {"alg": algorithm, **private.public_jwk}}
    (tmp_path / "token").write_text(issuer.access_token(Client(algorithm, key=private)) + "\n")
    options = ["--key", "client.jwk", "--url", URL, "--method", "POST", "--token", "@token", "--nonce", "a-nonce"]
    (tmp_path / "curl").write_text(run("prove", *options, "--curl").output)
    told = run("explain", "curl", "--nonce", "a-nonce", "--json")
    assert (told.exit_code, json.loads(told.output)["failed"]) == (0, [])


def _words(command):
    """The arguments that a shell hands to curl."""
    program = "curl() { printf '%s\\0' \"$@\"; }\n" + command
    return subprocess.run(["sh", "-c", program], capture_output=True, text=True, check=True).stdout.split("\0")[:-1]


def test_a_curl_command_is_quoted_for_the_shell(run):
    run("keygen", "client.jwk")
    words = _words(run("prove", "--key", "client.jwk", "--url", URL, "--token", "a.b", "--curl").output)
    assert words[:4] == ["-i", URL, "-H", "Authorization: DPoP a.b"]
    assert words[5].startswith("DPoP: eyJ")
    head = _words(run("prove", "--key", "client.jwk", "--url", URL, "--method", "HEAD", "--curl").output)
    assert [*head[:4], len(head)] == ["-i", "-I", URL, "-H", 5]


@pytest.mark.parametrize("name", ["client.jwk", "client.pem"])
def test_only_the_owner_can_read_the_key_and_no_file_is_overwritten(run, tmp_path, name):
    before = os.umask(0)
    try:
        first = run("keygen", name)
    finally:
        os.umask(before)
    content = (tmp_path / name).read_bytes()
    assert (first.exit_code, stat.S_IMODE((tmp_path / name).stat().st_mode)) == (0, 0o600)
    second = run("keygen", name)
    assert second.exit_code == 2
    assert "The file exists. It is not overwritten" in second.output
    assert (tmp_path / name).read_bytes() == content
    thumbprint = json.loads(first.output)["thumbprint"]
    told = run("explain", "-", input=run("prove", "--key", name, "--url", URL).output)
    assert f"EC P-256, {thumbprint}" in " ".join(told.output.split())


def test_an_encrypted_key_asks_for_its_password(run, tmp_path):
    run("keygen", "client.pem")
    key = load((tmp_path / "client.pem").read_bytes(), None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hunter2"))
    (tmp_path / "locked.pem").write_bytes(pem)
    arguments = ["prove", "--key", "locked.pem", "--url", URL]
    assert run(*arguments, input="hunter2\n").exit_code == 0
    wrong = run(*arguments, input="hunter3\n")
    assert (wrong.exit_code, "hunter3" in wrong.output) == (2, False)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["keygen", "x", "--alg", "HS256"], "--alg: must be one of"),
        (["keygen", "no/such/folder/x"], "can't be written"),
        (["prove", "--key", "none", "--url", URL], "--key: the file can't be read"),
        (["prove", "--key", "bad.jwk", "--url", URL], "--key: must be a private key"),
        (["prove", "--key", "bad.pem", "--url", URL], "--key: must be a private key"),
        (["prove", "--key", "public.jwk", "--url", URL], "--key: must be a private key"),
        (["prove", "--key", "list.jwk", "--url", URL], "--key: must be a private key"),
        (["prove", "--key", "deep.jwk", "--url", URL], "--key: must be a private key"),
        (["prove", "--key", "good.jwk", "--url", "/orders"], "--url: must be an absolute URL"),
        (["prove", "--key", "good.jwk", "--url", URL, "--method", "GET\r\nx"], "--method: must be a method"),
        (["prove", "--key", "good.jwk", "--url", URL, "--nonce", "hunter2 x"], "--nonce: must be the value"),
        (["prove", "--key", "good.jwk", "--url", URL, "--token", "hunter2\nx"], "--token: must be a token"),
        (["prove", "--key", "good.jwk", "--url", URL, "--token", "DPoP hunter2"], "without a scheme"),
        (["prove", "--key", "good.jwk", "--url", URL, "--token", "@none"], "--token: the file can't be read"),
    ],
)
def test_what_cannot_be_used_is_named_without_its_value(run, tmp_path, arguments, complaint):
    good = PrivateKey.generate()
    files = {
        "good.jwk": json.dumps(good.private_jwk),
        "public.jwk": json.dumps(good.public_jwk),
        "bad.jwk": json.dumps({**good.private_jwk, "d": "hunter2"}),
        "bad.pem": "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----",
        "list.jwk": "[]",
        "deep.jwk": "[" * 100_000,
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    done = run(*arguments)
    assert done.exit_code == 2
    assert complaint in " ".join(done.output.split())
    assert "hunter2" not in done.output
