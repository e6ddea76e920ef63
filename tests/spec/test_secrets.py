"""Secrets are found by key and by look, and are not repeated; ordinary words are not taken for them."""

from __future__ import annotations

import pytest

from loraspec.spec.secrets import found

TOKENS = [
    "hf_" + "a1" * 17, "sk-" + "b2" * 20, "ghp_" + "c3" * 18, "github_pat_" + "d4" * 20, "xoxb-1234567890-abc", "AKIA" + "ABCD" * 4,
    "-----BEGIN RSA PRIVATE KEY-----", "https://user:pass@example.org/x",
]  # fmt: skip


@pytest.mark.parametrize("token", TOKENS)
def test_values_that_look_like_secrets(token: str) -> None:
    """Wherever they stand: in lists, in tables, as keys."""
    for tables in ({"a": {"b": [1, token]}}, {"a": [{"b": f"see {token}"}]}, {"x": {token: 1}}):
        (problem,) = found(tables)
        assert problem.code == "E-SPEC-SECRET"
        assert token not in str(problem)


@pytest.mark.parametrize("key", ["hf_token", "token", "api_key", "apikey", "wandb_api_key", "password", "client_secret", "AUTH_TOKEN"])
def test_keys_that_ask_for_secrets(key: str) -> None:
    """Whatever their value says."""
    (problem,) = found({"run": {key: "something"}})
    assert problem.path.endswith(key)
    assert "something" not in str(problem)


@pytest.mark.parametrize("key", ["max_tokens", "style_tag", "tokenizer", "keep", "monkey", "secretary"])
def test_ordinary_keys_are_not_secrets(key: str) -> None:
    """Keys of specs, and words that hold others."""
    assert list(found({"captions": {key: "by X"}})) == []


def test_ordinary_values_are_not_secrets() -> None:
    """Hub ids, prompts, hashes."""
    values = ["org/name-hf_model", "a sk-etch, by X", "0" * 40, "ghp", "https://example.org/a:b@c", 12]
    assert list(found({"a": values})) == []
