"""The page for vendors is true: each request on it is answered as it says there."""

import re
from pathlib import Path

from r4.json import decode
from tests.support.server import Served

PAGE = Path(__file__).parents[2] / "docs" / "validation-for-vendors.md"
REQUEST = re.compile(
    r"^```http\n(?P<method>[A-Z]+) (?P<path>\S+)\nContent-Type: (?P<kind>\S+)\n\n(?P<body>.*?)\n```\n"
    r"(?:\n```json\n(?P<answer>.*?)\n```)?",
    re.MULTILINE | re.DOTALL,
)


def test_each_request_is_answered_as_the_page_says(server: Served) -> None:
    text = PAGE.read_text()
    requests = list(REQUEST.finditer(text))
    assert len(requests) == text.count("```http") == 4
    for request in requests:
        url = server.base_url.removesuffix("/fhir") + request["path"]
        headers = {"Content-Type": request["kind"]}
        content = request["body"].encode()
        answer = server.http.request(request["method"], url, content=content, headers=headers)
        assert answer.status_code in (200, 201)
        if request["answer"] is not None:
            assert answer.json() == decode(request["answer"])
