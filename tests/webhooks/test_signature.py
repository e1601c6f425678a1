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

HERE = Path(__file__).parent
PHP = [tuple(json.loads(line)) for line in (HERE / "php_vectors.jsonl").read_text("utf-8").splitlines()]
BODY = b'{"event":"stockUpdated"}'

texts = st.text(st.characters())  # lone surrogates too
anything = st.none() | texts | st.binary() | st.integers() | st.floats() | st.lists(texts)
secrets = anything | texts.map(Secret) | st.lists(texts | texts.map(Secret) | anything)


@pytest.mark.parametrize(("secret", "body", "signature"), PHP)
def test_what_php_signed_is_verified(secret: Any, body: Any, signature: Any) -> None:
    assert sign(body.encode(), secret) == signature
    verify(body.encode(), signature, secret)


@pytest.mark.parametrize(("secret", "body", "signature"), PHP)
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


@pytest.mark.parametrize("secret", ["", Secret(""), [], [""], None, b"secret", 5, [None, b"secret"]])
def test_no_signature_matches_an_empty_secret(secret: Any) -> None:
    signature = hmac.digest(b"", BODY, "sha256").hex()
    with pytest.raises(WebhookVerificationError):
        verify(BODY, signature, secret)
    with pytest.raises(WebhookVerificationError):
        verify(BODY, sign(BODY, "secret"), secret)


@pytest.mark.parametrize("secret", ["", Secret(""), None, 5])
def test_nothing_is_signed_with_an_empty_secret(secret: Any) -> None:
    with pytest.raises(ConfigurationError):
        sign(BODY, secret)


def test_a_body_that_is_text_is_refused_with_the_reason() -> None:
    with pytest.raises(WebhookVerificationError, match="raw bytes"):
        verify(BODY.decode(), sign(BODY, "secret"), "secret")  # type: ignore[arg-type]  # what is tested


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


def test_the_names_of_secrets_by_event_sign_nothing() -> None:
    with pytest.raises(WebhookVerificationError, match="by event"):
        verify(BODY, sign(BODY, "order.statusChanged"), {"order.statusChanged": "secret"})
