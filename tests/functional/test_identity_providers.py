"""The file of identity providers: what is wrong in it stops the start, and is said."""

from pathlib import Path

import pytest

from tests.support.identity import ISSUER, browser

RULE = '[[provider.role]]\nclaim = "a"\nvalue = "b"\nrole = "{}"\n'
TABLE = '[[provider]]\nname = "{}"\nissuer = "{}"\nclient_id = "c"\n{}'
STEWARD = RULE.format("steward")


class TestFile:
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "provider is missing"),
            ("[provider]\n", "no \\[\\[provider"),
            (TABLE.format("a", "http://identity.example", STEWARD), "https URL"),
            (TABLE.format("a", ISSUER, ""), "nobody could sign in"),
            (TABLE.format("development", ISSUER, STEWARD), "another name"),
            (TABLE.format("A b", ISSUER, STEWARD), "another name"),
            (TABLE.format("a", ISSUER, "other = 1\n" + STEWARD), "`other`"),
            (TABLE.format("a", ISSUER, RULE.format("surgeon")), "known are steward"),
            (TABLE.format("a", ISSUER, RULE.format("hospital-lead")), "hospitals_claim"),
            (TABLE.format("a", ISSUER, STEWARD + 'hospitals = ["RA1"]\n'), "others neither"),
            (TABLE.format("a", ISSUER, 'scopes = "profile"\n' + STEWARD), "lack openid"),
            (TABLE.format("a", ISSUER, 'secret_file = "none"\n' + STEWARD), "No such file"),
            (TABLE.format("a", ISSUER, 'key = "secret"\n' + STEWARD), "does not say who signs"),
            (TABLE.format("a", ISSUER, STEWARD) * 2, "two providers"),
        ],
    )
    async def test_that_is_wrong_stops_the_start_and_says_why(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
    ) -> None:
        with pytest.raises(ValueError, match=reason):
            async with browser(tmp_path, monkeypatch, text):
                pass

    @pytest.mark.parametrize(("member", "name"), [("key", "own.pem"), ("secret_file", "secret")])
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o602])
    async def test_a_secret_that_other_accounts_may_reach_stops_the_start(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: str, name: str, mode: int
    ) -> None:
        text = TABLE.format("a", ISSUER, f'{member} = "{name}"\n{STEWARD}')
        async with browser(tmp_path, monkeypatch, text):
            pass
        (tmp_path / name).chmod(mode)
        with pytest.raises(ValueError, match=f"who signs people in: .*chmod 600 .*{name}"):
            async with browser(tmp_path, monkeypatch, text):
                pass

    async def test_without_one_the_page_says_what_is_to_be_done(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with browser(tmp_path, monkeypatch, None) as seat:
            page = await seat.http.get("/sign-in")
        assert "CSOR_IDENTITY_PROVIDERS" in page.text
