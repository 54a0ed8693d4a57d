"""A gate with an HTTP interface."""

import http.client
import urllib.error
import urllib.parse
import urllib.request

from patchline.runtime.redaction import redacted
from patchline.wire.errors import MisconfiguredError, UnavailableError
from patchline.wire.messages import CONTENT_TYPE_JSON, GateCommand, to_json


class HttpGate:
    """Posts each command as JSON.

    Args:
        url: Where to post; `http` or `https`.
        timeout_seconds: When to give up; commands behind this one wait so long.

    Raises:
        MisconfiguredError: The address is not one of HTTP.
    """

    def __init__(self, url: str, timeout_seconds: float = 0.5) -> None:
        if urllib.parse.urlsplit(url).scheme not in {"http", "https"}:
            raise MisconfiguredError(
                f"{redacted(url)!r} is not an HTTP address",
                where="gate.url",
                remedy="write it as http://host:port/path",
            )
        self._url = url
        self._timeout_seconds = timeout_seconds

    def act(self, command: GateCommand) -> None:
        """Post the command; raises `UnavailableError` when nobody answers in time or the answer is an error."""
        request = urllib.request.Request(  # noqa: S310  the scheme was checked above
            self._url, data=to_json(command), headers={"Content-Type": CONTENT_TYPE_JSON}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_seconds):  # noqa: S310  checked above
                pass
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            raise UnavailableError(f"the gate at {redacted(self._url)} did not obey: {error}") from error
