"""What can go wrong, named by what the caller does next.

::

    PatchlineError
    ├── UnreadableError      the bytes are wrong: answer `unreadable`, keep the bytes for repair, go on
    ├── UnavailableError     the world is wrong for now: back off, keep what you have, try again
    └── MisconfiguredError   we are wrong: say what, where and the remedy, and exit 2 before going online

Anything else is a bug and ends the process loudly. Exceptions of other libraries are translated where they enter.
"""

EXIT_MISCONFIGURED = 2
"""Exit code of every command that refuses its configuration, its arguments or its files."""

EXIT_UNAVAILABLE = 3
"""Exit code of a command that needs a broker, a disk or a service that is away."""


class PatchlineError(Exception):
    """Root of the tree; never raised itself."""


class UnreadableError(PatchlineError):
    """Bytes from outside cannot be understood; sending them again will not help.

    Args:
        reason: What is wrong, one sentence for a person.
        code: What is wrong, one word for a counter (`envelope`, `sha256`, `picture`, `artifact`, `codec`, `size` ...).
    """

    def __init__(self, reason: str, *, code: str = "payload") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class UnavailableError(PatchlineError):
    """A broker, disk, camera or service is away or full; the same call may succeed later."""


class MisconfiguredError(PatchlineError):
    """A setting, argument or file of ours is wrong.

    Args:
        what: What is wrong.
        where: The file, key or argument it is wrong in.
        remedy: What the person should do.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        place = f" ({where})" if where else ""
        advice = f"; {remedy}" if remedy else ""
        super().__init__(f"{what}{place}{advice}")


def missing_extra(module: str, extra: str) -> MisconfiguredError:
    """The error for an optional dependency that is not installed; it names the extra that brings it."""
    return MisconfiguredError(
        f"{module} is not installed",
        remedy=f"install the extra that brings it: pip install 'patchline[{extra}]'",
    )
