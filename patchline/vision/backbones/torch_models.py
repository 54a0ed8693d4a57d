"""The networks whose published weights are exported, as torch modules (torch extra).

The names of parameters and buffers equal torchvision's, so that its files load strictly. Each network's `forward`
is a sequence of named stages, the taps; classifiers are kept so that no weight of a file is left over.
"""

# mypy: allow-subclassing-any

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_EXPANSIONS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, blocks and first stride of each stage (MobileNetV2, table 2)."""


class _ConvNormActivation(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU6(inplace=True),
        )


class _InvertedResidual(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [_ConvNormActivation(inputs, hidden, kernel=1)]
        layers += [
            _ConvNormActivation(hidden, hidden, stride=stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        self.conv = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.conv(maps) if self.residual else self.conv(maps)


class MobileNetV2(nn.Module):
    """MobileNetV2; its taps are `features.0` to `features.18`."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_ConvNormActivation(3, 32, stride=2)]
        channels = 32
        for expansion, outputs, blocks, first_stride in _EXPANSIONS:
            for block in range(blocks):
                stride = first_stride if block == 0 else 1
                layers.append(_InvertedResidual(channels, outputs, stride=stride, expansion=expansion))
                channels = outputs
        layers.append(_ConvNormActivation(channels, 1280, kernel=1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 1000))

    def stages(self) -> dict[str, nn.Module]:
        """The taps and what leads from one to the next."""
        return {f"features.{index}": layer for index, layer in enumerate(self.features)}


class _BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inputs: int, width: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, maps: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(maps)))))
        return torch.relu(inner + (maps if self.downsample is None else self.downsample(maps)))


class _WideBottleneck(nn.Module):
    """A bottleneck whose inner convolutions are twice as wide as ResNet-50's."""

    expansion = 4

    def __init__(self, inputs: int, width: int, *, stride: int) -> None:
        super().__init__()
        inner, outputs = 2 * width, self.expansion * width
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, maps: Tensor) -> Tensor:
        inner = torch.relu(self.bn1(self.conv1(maps)))
        inner = self.bn3(self.conv3(torch.relu(self.bn2(self.conv2(inner)))))
        return torch.relu(inner + (maps if self.downsample is None else self.downsample(maps)))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    """A residual network; its taps are `layer1` to `layer3`."""

    def __init__(self, block: type[_BasicBlock] | type[_WideBottleneck], blocks: Sequence[int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = 64
        for stage, count in enumerate(blocks):
            width = 64 * 2**stage
            layers = []
            for index in range(count):
                layers.append(block(channels, width, stride=2 if index == 0 and stage > 0 else 1))
                channels = width * block.expansion
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.fc = nn.Linear(channels, 1000)

    def stages(self) -> dict[str, nn.Module]:
        """The taps and what leads from one to the next."""
        stem = nn.Sequential(self.conv1, self.bn1, self.relu, self.maxpool, self.layer1)
        return {"layer1": stem, "layer2": self.layer2, "layer3": self.layer3}


def resnet18() -> ResNet:
    """ResNet-18."""
    return ResNet(_BasicBlock, (2, 2, 2, 2))


def wide_resnet50_2() -> ResNet:
    """WideResNet-50-2."""
    return ResNet(_WideBottleneck, (3, 4, 6, 3))


ARCHITECTURES = {
    "mobilenet_v2": MobileNetV2,
    "resnet18": resnet18,
    "wide_resnet50_2": wide_resnet50_2,
}


class Trunk(nn.Module):
    """A network from its input to the deepest tap asked for, giving every tap asked for."""

    def __init__(self, network: MobileNetV2 | ResNet, taps: Sequence[str]) -> None:
        super().__init__()
        stages = network.stages()
        names = list(stages)
        self.names = names[: max(names.index(tap) for tap in taps) + 1]
        self.taps = tuple(taps)
        self.layers = nn.ModuleList(stages[name] for name in self.names)

    def forward(self, batch: Tensor) -> tuple[Tensor, ...]:
        """`(B, 3, H, W)` to one map a tap."""
        maps: dict[str, Tensor] = {}
        for name, layer in zip(self.names, self.layers, strict=True):
            batch = layer(batch)
            maps[name] = batch
        return tuple(maps[tap] for tap in self.taps)
