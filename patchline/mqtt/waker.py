"""A way for other threads to end the network thread's waiting."""

import socket
from contextlib import suppress


class Waker:
    """A socket pair whose reading end can be waited for beside the connection's own socket."""

    def __init__(self) -> None:
        self.reader, self._writer = socket.socketpair()
        self.reader.setblocking(False)
        self._writer.setblocking(False)

    def wake(self) -> None:
        """Make the reader readable; from any thread, and after `close` nothing happens."""
        with suppress(OSError):  # full: it is awake already; closed: nobody waits any more
            self._writer.send(b"!")

    def rest(self) -> None:
        """Take back what `wake` wrote."""
        with suppress(BlockingIOError):
            self.reader.recv(4096)

    def close(self) -> None:
        """Give the sockets back."""
        self.reader.close()
        self._writer.close()
