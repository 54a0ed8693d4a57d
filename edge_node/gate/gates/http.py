"""A gate with an HTTP interface. Fails as the gate decides, which hears nothing of the part and has to reject it."""

import http.client
import urllib.error
import urllib.parse
import urllib.request
from typing import Literal

from pydantic import Field

from edge_node.gate.gates.protocol import Gate, GateSettings, OnFailure, Positive, Publishes
from patchline.runtime.redaction import redacted
from patchline.wire.errors import MisconfiguredError, UnavailableError
from patchline.wire.messages import CONTENT_TYPE_JSON, GateCommand, to_json


class HttpGateSettings(GateSettings):
    """A gate that takes commands over HTTP."""

    kind: Literal["http"] = Field(description="which gate")
    url: str = Field(description="where commands are posted; http or https")
    timeout_seconds: Positive = Field(0.5, description="when to give up on it, at the latest when the part has gone by")


class HttpGate(Gate):
    """Posts each command as JSON, without a proxy, and again with the same `command_id` until it is answered in time.

    Raises:
        MisconfiguredError: The address is not one of HTTP.
    """

    Settings = HttpGateSettings
    repeats = True

    def __init__(self, settings: HttpGateSettings, link: Publishes) -> None:
        super().__init__(settings, link)
        self.check(settings)
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    @classmethod
    def check(cls, settings: HttpGateSettings) -> None:
        """Look at the address."""
        if urllib.parse.urlsplit(settings.url).scheme not in {"http", "https"}:
            raise MisconfiguredError(
                f"{redacted(settings.url)!r} is not an HTTP address",
                where="gate.url",
                remedy="write it as http://host:port/path",
            )

    def act(self, command: GateCommand, left_seconds: float, on_failure: OnFailure) -> None:
        """Post the command; raises `UnavailableError` without an answer in time or when the answer is an error."""
        del on_failure
        url = self.settings.url
        request = urllib.request.Request(  # noqa: S310  the scheme was checked
            url, data=to_json(command), headers={"Content-Type": CONTENT_TYPE_JSON}, method="POST"
        )
        try:
            with self._opener.open(request, timeout=max(0.01, min(self.settings.timeout_seconds, left_seconds))):
                pass
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            raise UnavailableError(f"the gate at {redacted(url)} did not obey: {error}") from error
