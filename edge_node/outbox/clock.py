"""Which monotonic clock a time was read from."""

from pathlib import Path
from uuid import uuid4

_KERNEL_BOOT = Path("/proc/sys/kernel/random/boot_id")


def clock_id() -> str:
    """Names the machine's boot: `time.monotonic()` values compare only under one name, whichever process read them.

    Where the kernel does not tell, every process has a clock of its own.
    """
    try:
        return _KERNEL_BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return str(uuid4())
