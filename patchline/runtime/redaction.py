"""What a person may read of a setting that can hold a secret."""

import re

_PASSWORD_IN_URL = re.compile(r"(?P<head>(?:[A-Za-z][A-Za-z0-9+.-]*)?://[^/\s:@]*:)[^/\s]*(?=@)")
_SECRET_NAMES = ("password", "secret", "token", "key", "url", "device")


def redacted(text: str) -> str:
    """The same text, with `***` for the password of every `scheme://user:password@host`, the scheme missing or not."""
    return _PASSWORD_IN_URL.sub(r"\g<head>***", text)


def may_be_shown(setting: str) -> bool:
    """Whether the value of a setting of this name, such as `broker.port`, may stand in an error message."""
    return not any(name in setting.lower() for name in _SECRET_NAMES)
