"""Hashes of e-mail addresses: the keyed one, and the original's, to the letter."""

import sys

import pytest

from ckanpackager.errors import ConfigError
from ckanpackager.statistics.email_hash import is_hashed, keyed, like_the_original, salt

BY_THE_ORIGINAL = {
    "someone@nhm.ac.uk": "$2b$12$MDAwMDAwMDAwbmhtLmFjLeMuQygiPTx1CPpzpQNBz9nbSSxBCAuBi",
    "": "$2b$12$MDAwMDAwMDAwMDAwMDAwM.pB3WnFP5Q9sSgHO9vpbY08SMcZr/LWu",
    "a@" + "x" * 40: "$2b$12$eHh4eHh4eHh4eHh4eHh4e.2/dK8wIQIhp/2Swhe2zAuIwNzYB5YU.",
    "a@b@example.org": "$2b$12$MDAwMDBiQGV4YW1wbGUubuEDEsJtGooYS.C1PEV5v/q/oFLsJvruS",
    "noat": "$2b$12$MDAwMDAwMDAwMDAwMDBubuiorYZBOEqURwq/iAWjaVury4QVuFmga",
    "x" * 80 + "@example.org": "$2b$12$MDAwMDAwMGV4YW1wbGUubuXbmcd15.qi1Wb53Rh9SFuiMPSD1IlKS",
}
"""What the original's function gave with its own version of bcrypt, 3.1.4."""


@pytest.mark.parametrize(("email", "hashed"), BY_THE_ORIGINAL.items())
def test_bcrypt_gives_what_the_original_stored(email: str, hashed: str) -> None:
    pytest.importorskip("bcrypt", reason="bcrypt is an extra: pip install 'ckanpackager[bcrypt]'")
    assert like_the_original()(email) == hashed
    assert is_hashed(hashed)


def test_bcrypt_does_not_tell_capitals_apart() -> None:
    pytest.importorskip("bcrypt", reason="bcrypt is an extra: pip install 'ckanpackager[bcrypt]'")
    hashed = like_the_original()
    assert hashed("SomeOne@NHM.ac.uk") == BY_THE_ORIGINAL["someone@nhm.ac.uk"]


def test_without_bcrypt_its_scheme_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bcrypt", None)
    with pytest.raises(ConfigError, match=r"pip install 'ckanpackager\[bcrypt\]'"):
        like_the_original()


@pytest.mark.parametrize("email", ["a@é.example", "a@\U0001f511", "@", "a@+1", ">~?@>~?>~?>~?>~?>~?"])
def test_every_domain_gives_a_salt_that_bcrypt_takes(email: str) -> None:
    assert len(salt(email)) == len("$2b$12$") + 22
    assert set(salt(email)[7:]) <= set(b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
    assert salt(email)[-1:] in (b".", b"O", b"e", b"u")


def test_the_keyed_hash_depends_on_address_and_key_and_not_on_capitals() -> None:
    hashed = keyed("key")
    assert hashed("Ann@Example.org ") == hashed("ann@example.org")
    assert hashed("ann@example.org") not in (hashed("bob@example.org"), keyed("other")("ann@example.org"))
    assert is_hashed(hashed("ann@example.org"))


@pytest.mark.parametrize("email", ["ann@example.org", "", "noat", "$2b$12$short", "a" * 63])
def test_an_address_is_not_taken_for_a_hash(email: str) -> None:
    assert not is_hashed(email)
