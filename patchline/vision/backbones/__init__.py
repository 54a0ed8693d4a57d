"""Backbones: pretrained networks that give pictures their feature maps."""

from patchline.vision.backbones.registry import BACKBONES

__all__ = ["BACKBONES"]
