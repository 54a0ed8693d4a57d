"""What runs a backbone."""

from typing import Protocol

from patchline.vision.pixels.arrays import FeatureMaps, Floats, Size


class Engine(Protocol):
    """A loaded backbone."""

    @property
    def taps(self) -> tuple[str, ...]:
        """The taps it gives, in the order in which `run` gives them."""
        ...

    def run(self, batch: Floats) -> FeatureMaps:
        """The feature maps of a batch of normalised pictures, `(B, 3, H, W)` float32.

        Raises:
            MisconfiguredError: The network cannot take pictures of that size.
        """
        ...

    def warm_up(self, size: Size, batch_size: int = 1) -> None:
        """Run once on a blank batch, so that the first real one does not pay for the memory the network sets up.

        Raises:
            MisconfiguredError: The network cannot take pictures of that size.
        """
        ...
