import hmac
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async import Secret, WebhookVerificationError
from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.webhooks import sign, verify
from tests.support.tables import each_row

HERE = Path(__file__).parent
PHP = [tuple(json.loads(line)) for line in (HERE / "php_vectors.jsonl").read_text("utf-8").splitlines()]
BODY = b'{"event":"stockUpdated"}'

texts = st.text(st.characters())  # lone surrogates too
anything = st.none() | texts | st.binary() | st.integers() | st.floats() | st.lists(texts)
secrets = anything | texts.map(Secret) | st.lists(texts | texts.map(Secret) | anything)


@each_row(("secret", "body", "signature"), PHP)
def test_what_php_signed_is_verified(secret: Any, body: Any, signature: Any) -> None:
    assert sign(body.encode(), secret) == signature
    verify(body.encode(), signature, secret)


@each_row(("secret", "body", "signature"), PHP)
def test_json_that_was_written_again_does_not_match(secret: Any, body: Any, signature: Any) -> None:
    again = json.dumps(json.loads(body)).encode()
    with pytest.raises(WebhookVerificationError):
        verify(again, signature, secret)


@pytest.mark.skipif(shutil.which("php") is None, reason="there is no PHP here")
def test_the_vectors_are_what_php_makes() -> None:
    made = subprocess.run(["php", HERE / "php_vectors.php"], capture_output=True, check=True).stdout
    assert made == (HERE / "php_vectors.jsonl").read_bytes()


@given(st.binary(), texts.filter(bool))
def test_what_was_signed_is_verified_in_either_case_as_text_or_bytes(body: Any, secret: Any) -> None:
    signature = sign(body, Secret(secret))
    assert signature == sign(body, secret)
    for form in (signature, signature.upper(), signature.encode(), signature.upper().encode()):
        verify(body, form, secret)
        verify(bytearray(body), form, ["", "another", Secret(secret)])


@pytest.mark.slow
@given(st.binary(), anything, secrets)
def test_it_raises_one_error_only(body: Any, signature: Any, secrets: Any) -> None:
    with pytest.raises(WebhookVerificationError):
        verify(body, signature, secrets)


@given(st.binary(min_size=1), st.data())
def test_one_flipped_bit_is_noticed(body: Any, data: Any) -> None:
    signature = sign(body, "secret")
    at = data.draw(st.integers(0, len(body) * 8 - 1))
    flipped = bytearray(body)
    flipped[at // 8] ^= 1 << (at % 8)
    with pytest.raises(WebhookVerificationError):
        verify(bytes(flipped), signature, "secret")


@each_row("secret", ["", Secret(""), [], [""], None, b"secret", 5, [None, b"secret"]])
def test_no_signature_matches_an_empty_secret(secret: Any) -> None:
    signature = hmac.digest(b"", BODY, "sha256").hex()
    with pytest.raises(WebhookVerificationError):
        verify(BODY, signature, secret)
    with pytest.raises(WebhookVerificationError):
        verify(BODY, sign(BODY, "secret"), secret)


@each_row("secret", ["", Secret(""), None, 5])
def test_nothing_is_signed_with_an_empty_secret(secret: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^the secret of a webhook must be text that is not empty$"):
        sign(BODY, secret)


def test_no_message_holds_a_secret_a_body_or_a_signature() -> None:
    for signature in (None, "", sign(b"other", "s3cret"), "s3cret-junk", b"\xff"):
        with pytest.raises(WebhookVerificationError) as caught:
            verify(b"stockUpdated", signature, ["s3cret", "s3cret-too"])
        said = repr(caught.value) + str(caught.value)
        assert "s3cret" not in said
        assert "stockUpdated" not in said
        assert sign(b"other", "s3cret") not in said


def test_any_view_of_bytes_is_verified_or_refused() -> None:
    every_second = memoryview(b"".join(bytes([byte, 0]) for byte in BODY))[::2]
    verify(every_second, sign(BODY, "secret"), "secret")
    every_second.release()
    with pytest.raises(WebhookVerificationError):
        verify(every_second, sign(BODY, "secret"), "secret")


def test_any_of_several_secrets_verifies_wherever_it_stands() -> None:
    signature = sign(BODY, "good")
    for secrets in (["good", "other", "third"], ["other", "good", "third"], ["other", "third", "good"]):
        verify(BODY, signature, secrets)


@each_row(
    ("body", "signature", "secret", "reason"),
    [
        ({}, sign(BODY, "s"), "s", "only the raw bytes of a body can be verified"),
        (BODY.decode(), sign(BODY, "s"), "s", "only the raw bytes of a body can be verified"),
        (BODY, None, "s", "the delivery has no Signature header"),
        (BODY, "abc", "s", "the signature is not 64 hexadecimal digits"),
        (BODY, sign(BODY, "s"), {"s": "s"}, "secrets by event are for a WebhookReceiver"),
        (BODY, sign(BODY, "s"), [], "there is no secret"),
        (BODY, sign(BODY, "s"), "other", "the signature is not made with the secret"),
        (BODY, sign(BODY, "s"), ["a", Secret("b"), ""], "the signature is not made with any of the 2 secrets"),
    ],
)
def test_each_refusal_names_its_reason(body: Any, signature: Any, secret: Any, reason: str) -> None:
    with pytest.raises(WebhookVerificationError) as caught:
        verify(body, signature, secret)
    assert str(caught.value).startswith(reason)


def test_a_secret_with_a_lone_surrogate_signs_and_verifies() -> None:
    verify(BODY, sign(BODY, "\ud800"), "\ud800")
