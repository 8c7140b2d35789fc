"""Networks from images to features: two of our own, and every torchvision classifier by its name."""

import torch
from torch import Tensor, nn
from torchvision import models

from ifgan_pl.core.errors import UserError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut (He 2016, fig. 2), average-pooled where the block halves the resolution."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True),
                nn.Conv2d(in_channels, out_channels, 1, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)."""
        return torch.relu(self.residual(x) + self.shortcut(x))


def residual_stages(width: int, depths: tuple[int, ...]) -> list[nn.Module]:
    """Stages of ``depths`` blocks, each of double width and half the resolution of the one before, and their mean."""
    layers: list[nn.Module] = []
    channels = width
    for stage, depth in enumerate(depths):
        for block in range(depth):
            halve = stage > 0 and block == 0
            layers.append(ResidualBlock(channels, width * 2**stage, 2 if halve else 1))
            channels = width * 2**stage
    return [*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()]


class SmallResNet(nn.Sequential):
    """A residual network for 128² faces on a CPU: an 8×8 stem of stride 4, four stages of doubling width.

    With ``width=32`` 1.6 M parameters; about 4 ms an image on one core at batch 1.
    Input (N, 3, H, W) float in [-1, 1]; output (N, ``num_features``).
    """

    def __init__(self, width: int = 32, depths: tuple[int, ...] = (1, 2, 2, 1)) -> None:
        stem = nn.Conv2d(3, width, 8, 4, 2, bias=False)
        super().__init__(stem, nn.BatchNorm2d(width), nn.ReLU(inplace=True), *residual_stages(width, depths))
        self.num_features = width * 2 ** (len(depths) - 1)


class FineResNet(nn.Sequential):
    """The shipped scorer's network: a 3×3 stem of stride 2, then five stages of doubling width.

    Its first stage still looks at half the resolution, where thin frames of glasses are seen that the coarse stem of
    :class:`SmallResNet` loses. With ``width=16`` 2.8 M parameters; half as slow again as ``small``.
    Input (N, 3, H, W) float in [-1, 1]; output (N, ``num_features``).
    """

    def __init__(self, width: int = 16, depths: tuple[int, ...] = (1, 2, 2, 2, 2)) -> None:
        stem = nn.Conv2d(3, width, 3, 2, 1, bias=False)
        super().__init__(stem, nn.BatchNorm2d(width), nn.ReLU(inplace=True), *residual_stages(width, depths))
        self.num_features = width * 2 ** (len(depths) - 1)


class TorchvisionBackbone(nn.Module):
    """A torchvision classifier without its last linear layer.

    Input (N, 3, H, W) float in [-1, 1], normalised inside to ImageNet's statistics; output (N, ``num_features``).
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        try:
            self.network = models.get_model(name)
        except (ValueError, KeyError) as error:
            raise UserError(f"unknown backbone {name!r}: {error}") from None
        last = [key for key, module in self.network.named_modules() if isinstance(module, nn.Linear)]
        if not last:
            raise UserError(f"backbone {name!r} does not end in a linear layer; take another, e.g. resnet50")
        parent, _, attribute = last[-1].rpartition(".")
        self.num_features = int(self.network.get_submodule(last[-1]).in_features)
        setattr(self.network.get_submodule(parent), attribute, nn.Identity())
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        # (x / 2 + 1 / 2 - mean) / std as one multiplication and one addition
        self.register_buffer("scale", (0.5 / std)[:, None, None], persistent=False)
        self.register_buffer("offset", ((0.5 - mean) / std)[:, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_features)."""
        output = self.network(x * self.scale + self.offset)
        # inception and googlenet wrap their output with auxiliary ones while they train
        features: Tensor = output if isinstance(output, Tensor) else output.logits
        return features

    def load_pretrained(self, weights: str) -> None:
        """Take torchvision's pretrained weights, downloaded where they are not in its cache.

        Args:
            weights: ``DEFAULT``, ``IMAGENET1K_V2``, ...

        Raises:
            UserError: there are no such weights, or they cannot be had.
        """
        try:
            source = models.get_model(self.name, weights=weights).state_dict()
        except (ValueError, KeyError) as error:
            raise UserError(f"unknown weights {weights!r} of {self.name}: {error}") from None
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"cannot get the weights {weights} of {self.name} ({error}); leave weights out to train from nothing"
            ) from None
        own = self.network.state_dict()  # without the last layer; inception's auxiliary ones are not pretrained
        self.network.load_state_dict({name: value for name, value in source.items() if name in own}, strict=False)


OWN: dict[str, tuple[type[SmallResNet] | type[FineResNet], int]] = {
    "small": (SmallResNet, 32),
    "fine": (FineResNet, 16),
}
"""Networks of our own by name, each with the usual width of its first stage; ``small48`` is a wider one."""


def build_backbone(name: str) -> tuple[nn.Module, int]:
    """A network from images in [-1, 1] to features, and the number of features.

    Args:
        name: ``small`` or ``fine`` (ours, trained from nothing), or a torchvision classifier: ``resnet50``,
            ``convnext_tiny``, ``mobilenet_v3_large``, ``vit_b_16``, ...

    Raises:
        UserError: unknown name.
    """
    for family, (network, usual) in OWN.items():
        if name.startswith(family):
            try:
                own = network(int(name.removeprefix(family) or usual))
            except ValueError:
                raise UserError(f"unknown backbone {name!r}: {family}, {family}{2 * usual}, ...") from None
            return own, own.num_features
    backbone = TorchvisionBackbone(name)
    return backbone, backbone.num_features
