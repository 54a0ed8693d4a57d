"""The student: a small network that is trained with several branches a layer and exported with one.

Dense 3x3 convolutions where maps are large and channels few (ONNX Runtime runs them near the processor's peak, which
depthwise ones never reach), inverted residuals with 5x5 depthwise kernels at stride 16, where a wide view is cheap.
Structural re-parameterisation after Ding et al., RepVGG (CVPR 2021); inverted residuals after Sandler et al.,
MobileNetV2 (CVPR 2018).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from distillation.teacher import TAPS


def normed(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution without bias, "same" padding, and its batch normalisation."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


def folded(branch: nn.Sequential) -> nn.Conv2d:
    """Convolution and batch normalisation as one convolution with a bias."""
    convolution, norm = branch[0], branch[1]
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    plain = nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        convolution.kernel_size,
        convolution.stride,
        convolution.padding,
        groups=convolution.groups,
    )
    plain.weight.data = (convolution.weight * gain[:, None, None, None]).detach()
    plain.bias.data = (norm.bias - norm.running_mean * gain).detach()
    return plain


class RepLayer(nn.Module):  # type: ignore[misc]  # torch comes without types
    """ReLU of a 3x3 convolution; while training, where shapes allow, of a 3x3, a 1x1 and an identity branch."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.wide = normed(inputs, outputs, 3, stride=stride)
        branched = stride == 1 and inputs == outputs
        self.point = normed(inputs, outputs, 1) if branched else None
        self.same = nn.BatchNorm2d(inputs) if branched else None

    def forward(self, maps: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, h / stride, w / stride)."""
        total = self.wide(maps)
        if self.point is not None and self.same is not None:
            total = total + self.point(maps) + self.same(maps)
        return torch.relu(total)

    def plain(self) -> nn.Sequential:
        """The same function as one convolution and a ReLU."""
        wide = folded(self.wide)
        if self.point is not None and self.same is not None:
            point = folded(self.point)
            wide.weight.data[:, :, 1:2, 1:2] += point.weight.data
            wide.bias.data += point.bias.data
            gain = (self.same.weight / torch.sqrt(self.same.running_var + self.same.eps)).detach()
            channels = torch.arange(len(gain))
            wide.weight.data[channels, channels, 1, 1] += gain
            wide.bias.data += (self.same.bias - self.same.running_mean * gain).detach()
        return nn.Sequential(wide, nn.ReLU())


class Residual(nn.Module):  # type: ignore[misc]  # torch comes without types
    """`x + branch(x)`."""

    def __init__(self, branch: nn.Sequential) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, maps: Tensor) -> Tensor:
        """The same shape."""
        return maps + self.branch(maps)


class InvertedResidual(nn.Module):  # type: ignore[misc]  # torch comes without types
    """Widen 1x1, look around depthwise 5x5, narrow 1x1, add."""

    def __init__(self, channels: int, hidden: int, kernel: int) -> None:
        super().__init__()
        self.widen = normed(channels, hidden, 1)
        self.look = normed(hidden, hidden, kernel, groups=hidden)
        self.narrow = normed(hidden, channels, 1)
        nn.init.constant_(self.narrow[1].weight, 0.2)  # begin near the identity

    def forward(self, maps: Tensor) -> Tensor:
        """The same shape."""
        return maps + self.narrow(torch.relu(self.look(torch.relu(self.widen(maps)))))

    def plain(self) -> Residual:
        """The same function with its normalisations folded away."""
        layers = (folded(self.widen), nn.ReLU(), folded(self.look), nn.ReLU(), folded(self.narrow))
        return Residual(nn.Sequential(*layers))


class Student(nn.Module):  # type: ignore[misc]  # torch comes without types
    """Normalised pictures (B, 3, H, W) -> one map a tap, in the order of `TAPS`."""

    def __init__(self) -> None:
        super().__init__()
        self.to_stride8 = nn.Sequential(
            RepLayer(3, 16, stride=2), RepLayer(16, 24, stride=2), RepLayer(24, 48, stride=2), RepLayer(48, 48)
        )
        self.to_stride16 = nn.Sequential(RepLayer(48, 96, stride=2), *(InvertedResidual(96, 144, 5) for _ in range(3)))
        self.heads = nn.ModuleList((nn.Conv2d(48, TAPS[0].channels, 1), nn.Conv2d(96, TAPS[1].channels, 1)))

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """A map a tap, (B, channels, H / stride, W / stride)."""
        fine = self.to_stride8(batch)
        return self.heads[0](fine), self.heads[1](self.to_stride16(fine))

    def plain(self, scales: Sequence[Tensor]) -> Student:
        """The student as it ships: one convolution a layer, each head cut and each channel multiplied by its scale."""
        shipped = Student()
        shipped.to_stride8 = nn.Sequential(*(layer.plain() for layer in self.to_stride8))
        shipped.to_stride16 = nn.Sequential(*(layer.plain() for layer in self.to_stride16))
        shipped.heads = nn.ModuleList(
            _cut(head, tap.shipped, scale) for head, tap, scale in zip(self.heads, TAPS, scales, strict=True)
        )
        shipped.eval()
        return shipped


def _cut(head: nn.Conv2d, channels: int, scale: Tensor) -> nn.Conv2d:
    """The head's first channels, each multiplied by its scale."""
    plain = nn.Conv2d(head.in_channels, channels, 1)
    plain.weight.data = head.weight.data[:channels] * scale[:channels, None, None, None]
    plain.bias.data = head.bias.data[:channels] * scale[:channels]
    return plain


def multiply_adds(student: Student, side: int = 224) -> int:
    """Multiply-adds of one picture through the network as it stands (call it on the plain one)."""
    total = 0

    def count(layer: nn.Conv2d, _: tuple[Tensor], output: Tensor) -> None:
        nonlocal total
        total += output[0].numel() * layer.weight[0].numel()

    hooks = [layer.register_forward_hook(count) for layer in student.modules() if isinstance(layer, nn.Conv2d)]
    with torch.no_grad():
        student(torch.zeros(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    return total
