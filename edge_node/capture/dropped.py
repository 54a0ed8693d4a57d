"""How a part ends that gets no frame."""

from patchline.wire.messages import DropReason


class Dropped(Exception):  # noqa: N818  it ends a part, not the program
    """A part gets no frame.

    Args:
        reason: Why, as the wire names it.
        detail: The same for a person.
    """

    def __init__(self, reason: DropReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
