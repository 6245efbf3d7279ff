"""Identity tokens of this server, by which apps know who has signed in: signed by the key that seals.

https://openid.net/specs/openid-connect-core-1_0.html#IDToken
"""

from datetime import datetime, timedelta
from typing import Any

from fhir_server.access.grants import Grant
from fhir_server.access.keys import compact
from questionnaires.seal import Seal
from r4.json import encode

LIFE = timedelta(minutes=5)


def id_token(grant: Grant, issuer: str, now: datetime, seal: Seal) -> str:
    """Return the identity token of whoever has made a grant, for the app that it is made to."""
    said: dict[str, Any] = {
        "iss": issuer,
        "sub": grant.subject,
        "aud": grant.client.name,
        "iat": int(now.timestamp()),
        "exp": int((now + LIFE).timestamp()),
        "nonce": grant.nonce,
        "fhirUser": grant.user,
    }
    return compact(encode({name: value for name, value in said.items() if value is not None}), seal)
