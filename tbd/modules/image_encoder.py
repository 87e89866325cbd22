"""Image encoders that were trained elsewhere, as teachers of features."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from mmdet.registry import MODELS as MMDET_MODELS
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from tbd.compat import load_checkpoint

_CLASSIFIERS = ("head.", "fc.", "classifier.")

Layout = Literal["NCHW", "NHWC", "tokens"]


class ImageEncoder(nn.Module):
    """A network from images to a map of features, with what it expects of its input.

    Args:
        network: The network.
        channels: Channels of its features.
        stride: Height and width of its input must be multiples of it.
        mean: Of the red, green and blue channel, on the scale 0 to 255.
        std: Likewise.
        layout: Of what the network returns: maps, or tokens [N, P + h·w, D] of
            which the first P are none of patches.
        prefix_tokens: The P.
        input_size: Height and width that the network insists on, or None.
    """

    def __init__(
        self,
        network: nn.Module,
        channels: int,
        stride: int,
        mean: Sequence[float],
        std: Sequence[float],
        layout: Layout = "NCHW",
        prefix_tokens: int = 0,
        input_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.channels = channels
        self.stride = stride
        self.mean = tuple(float(value) for value in mean)
        self.std = tuple(float(value) for value in std)
        self.layout = layout
        self.prefix_tokens = prefix_tokens
        self.input_size = input_size

    def forward(self, images: Tensor) -> Tensor:
        """Encode images.

        Args:
            images: RGB, normalised by ``mean`` and ``std`` [N, 3, H, W], H and W
                multiples of ``stride``.

        Returns:
            Features [N, channels, h, w].
        """
        run = getattr(self.network, "forward_features", self.network)
        features = run(images)
        if isinstance(features, list | tuple):
            features = features[-1]
        if self.layout == "NHWC":
            return features.permute(0, 3, 1, 2)
        if self.layout == "tokens":
            height = images.shape[2] // self.stride
            patches = features[:, self.prefix_tokens :]
            return patches.transpose(1, 2).unflatten(2, (height, -1))
        return features


def build_image_encoder(config: Mapping[str, Any]) -> ImageEncoder:
    """Build an encoder from what a config says of it.

    Args:
        config: ``dict(type="timm", model="vit_small_patch14_dinov2.lvd142m",
            pretrained=True)`` names a model of timm, whose own normalisation is
            taken; any other ``type`` is a backbone of MMDetection with its
            arguments, beside ``mean`` and ``std`` (RGB, 0 to 255; by default
            ImageNet's). ``checkpoint`` is a file or URL with its weights, loaded
            strictly; ``allow_random=True`` does without weights, for trials.
            Further keys of a model of timm are handed to ``timm.create_model``.

    Raises:
        ImportError: if timm is asked for and not installed.
        ValueError: if no weights are named, or they are not the encoder's.
    """
    options = dict(config)
    kind = options.pop("type", None)
    checkpoint = options.pop("checkpoint", None)
    allow_random = options.pop("allow_random", False)
    pretrained = bool(options.get("pretrained", False)) if kind == "timm" else False
    if kind is None:
        raise ValueError(
            f"encoder={dict(config)} has no type; give type='timm' and a model, or a backbone "
            "such as type='mmdet.ResNet'."
        )
    if not (checkpoint or pretrained or allow_random):
        raise ValueError(
            "encoder has no weights: random features teach nothing. Set encoder.checkpoint to a "
            "file or URL, for a model of timm encoder.pretrained=True, or, for a trial, "
            "encoder.allow_random=True."
        )
    encoder = _timm(**options) if kind == "timm" else _backbone(kind, **options)
    if checkpoint:
        _load(encoder.network, checkpoint)
    return encoder


def _timm(model: str, **options: Any) -> ImageEncoder:
    try:
        import timm
    except ImportError as error:
        raise ImportError(
            "encoder.type='timm' needs timm, which is not installed: pip install timm"
        ) from error
    fixed = "img_size" in options
    try:
        # Lets a transformer take images of any size; other networks do not know the option.
        network = timm.create_model(
            model, **({} if fixed else {"dynamic_img_size": True}), **options
        )
    except TypeError:
        network = timm.create_model(model, **options)
    known = network.pretrained_cfg
    patches: Any = getattr(network, "patch_embed", None)
    prefix = getattr(network, "num_prefix_tokens", None)
    nhwc = getattr(network, "output_fmt", None) == "NHWC"
    if prefix is not None:
        layout: Layout = "tokens"
        stride = int(patches.patch_size[0])
    else:
        layout = "NHWC" if nhwc else "NCHW"
        stride = int(network.feature_info[-1]["reduction"])
    # A window transformer is made for one size of images.
    size = tuple(patches.img_size) if nhwc and patches is not None else None
    mean, std = ([255 * value for value in known[key]] for key in ("mean", "std"))
    return ImageEncoder(network, network.num_features, stride, mean, std, layout, prefix or 0, size)


def _backbone(
    kind: str,
    mean: Sequence[float] = (123.675, 116.28, 103.53),
    std: Sequence[float] = (58.395, 57.12, 57.375),
    stride: int = 32,
    **options: Any,
) -> ImageEncoder:
    with DefaultScope.overwrite_default_scope("mmdet"):
        network = MMDET_MODELS.build(dict(type=kind, **options))
        network.init_weights()
    channels = _channels(network, stride)
    return ImageEncoder(network, channels, stride, mean, std)


@torch.no_grad()
def _channels(network: nn.Module, stride: int) -> int:
    # For good: an encoder is never trained.
    network.eval()
    outputs = network(torch.zeros(1, 3, 2 * stride, 2 * stride))
    return int(outputs[-1].shape[1])


def _load(network: nn.Module, source: str) -> None:
    content = load_checkpoint(source)
    weights = content.get("state_dict", content)
    result = network.load_state_dict(weights, strict=False)
    # The classifier of the pretraining is no part of an encoder.
    strange = [key for key in result.unexpected_keys if not key.startswith(_CLASSIFIERS)]
    for what, keys in (("lacks", list(result.missing_keys)), ("has besides", strange)):
        if keys:
            raise ValueError(
                f"encoder.checkpoint={source!r} is not of the encoder {type(network).__name__}: it "
                f"{what} {len(keys)} tensors, first {', '.join(keys[:5])}. Set encoder to the "
                "model that this checkpoint is of."
            )
