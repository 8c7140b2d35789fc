"""Images on disk: tensors to files that say where they come from, still and moving."""

import html
import importlib.util
import json
import re
import struct
from collections.abc import Mapping, Sequence
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from zlib_ng import zlib_ng

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import METADATA_KEY, write_bytes

AVERAGE = 3
"""The PNG filter that predicts a byte by the mean of the pixel to the left and of the one above."""
Still = Literal["png", "jpg"]
Animation = Literal["gif", "webp", "mp4"]
STILLS: tuple[str, ...] = get_args(Still)
ANIMATIONS: tuple[str, ...] = get_args(Animation)
DESCRIPTION = 0x010E
"""EXIF's ImageDescription, which carries provenance where a format has no text of its own."""
LOOP_MS, FRAME_MS = 3000, (40, 500)
"""An animation takes three seconds there and back, where that leaves each frame a time between these."""
PALETTE_SIDE = 128

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def to_uint8(images: Tensor) -> Pixels:
    """(N, 3, H, W) float in [-1, 1], clipped -> (N, H, W, 3) uint8."""
    scaled = images.detach().clamp(-1, 1).add_(1).mul_(127.5).round_().to(torch.uint8)
    return scaled.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def save_image(path: Path, pixels: Pixels, provenance: Mapping[str, Any]) -> None:
    """Write (H, W, 3) uint8 atomically; the suffix chooses PNG (provenance as text) or JPEG (as EXIF)."""
    text = json.dumps(provenance, sort_keys=True)
    write_bytes(path, png(pixels, {METADATA_KEY: text}) if path.suffix == ".png" else _jpeg(pixels, text))


def _jpeg(pixels: Pixels, text: str) -> bytes:
    data = BytesIO()  # not a file: at a limit of its size Pillow's encoder cuts it off and says nothing
    Image.fromarray(pixels).save(data, "JPEG", quality=95, exif=_exif(text))
    return data.getvalue()


def png(pixels: Pixels, texts: Mapping[str, str]) -> bytes:
    """A PNG of (H, W, 3) uint8 with (ASCII) texts (ISO/IEC 15948).

    Faces from a generator are smooth and noisy: one filter for all rows does as well as the best of five for each, and
    Huffman codes alone are smaller than those with repeats. Pillow takes four to five times as long at its fastest
    level, and 22 times at its default level for a file 1 % smaller (``benchmarks/edit_speed.py png``).
    """
    height, width, _ = pixels.shape
    rows = pixels.reshape(height, 3 * width)
    left, above = np.zeros_like(rows), np.zeros_like(rows)
    left[:, 3:], above[1:] = rows[:, :-3], rows[:-1]
    filtered = np.full((height, 1 + 3 * width), AVERAGE, np.uint8)
    filtered[:, 1:] = rows - ((left & above) + ((left ^ above) >> 1))
    deflate = zlib_ng.compressobj(level=1, strategy=zlib_ng.Z_HUFFMAN_ONLY)
    data = deflate.compress(filtered.tobytes()) + deflate.flush()
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),  # 8 bits, RGB, not interlaced
        *((b"tEXt", key.encode("ascii") + b"\0" + text.encode("ascii")) for key, text in texts.items()),
        (b"IDAT", data),
        (b"IEND", b""),
    ]
    parts = [
        struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib_ng.crc32(c, zlib_ng.crc32(kind)))
        for kind, c in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def save_animation(path: Path, frames: Sequence[Pixels], provenance: Mapping[str, Any]) -> None:
    """Write images as an animation that runs there and back, atomically.

    Args:
        path: its suffix chooses GIF, WebP (both loop for ever) or MP4 (H.264, runs once).
        frames: (H, W, 3) uint8 each, in order; sides must be even for MP4.
        provenance: JSON-able; a GIF's comment, a WebP's EXIF, an MP4's comment.
    """
    text = json.dumps(provenance, sort_keys=True)
    order = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    duration = int(np.clip(LOOP_MS // len(order), *FRAME_MS)) // 10 * 10  # GIF counts in hundredths of a second
    if path.suffix == ".mp4":
        write_bytes(path, _video([frames[i] for i in order] + [frames[0]], duration, text))
        return
    images = [Image.fromarray(f) for f in frames]
    if path.suffix == ".gif":
        images = _one_palette(images)
        options: dict[str, Any] = {"comment": text.encode()}
    else:
        options = {"exif": _exif(text), "quality": 90, "method": 2}
    first, *rest = (images[i] for i in order)
    data, kind = BytesIO(), path.suffix.removeprefix(".")
    first.save(data, kind, save_all=True, append_images=rest, duration=duration, loop=0, **options)
    write_bytes(path, data.getvalue())


def _one_palette(images: list[Image.Image]) -> list[Image.Image]:
    """Frames in the 256 colours of all of them together: one palette for each frame is slower, and flickers."""
    small = [np.asarray(i.resize((PALETTE_SIDE, PALETTE_SIDE), Image.Resampling.BOX)) for i in images]
    palette = Image.fromarray(np.concatenate(small)).quantize(256)
    return [i.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for i in images]


def _video(frames: Sequence[Pixels], duration: int, text: str) -> bytes:
    import av

    data = BytesIO()
    with av.open(data, "w", format="mp4") as container:
        container.metadata["comment"] = text
        # some of x264's assembly depends on memory that nobody wrote: without this, bytes differ from run to run
        options = {"crf": "16", "x264-params": "cpu-independent=1"}
        stream = container.add_stream("h264", rate=Fraction(1000, duration), options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"  # what every player shows
        stream.codec_context.thread_count = 1  # faces are encoded side by side
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return data.getvalue()


def check_video() -> None:
    """Refuse MP4 where PyAV is not installed."""
    if importlib.util.find_spec("av") is None:
        raise UserError("mp4 needs PyAV: pip install 'ifgan_pl[video]', or use gif or webp")


def _exif(text: str) -> Image.Exif:
    exif = Image.Exif()
    exif[DESCRIPTION] = text
    return exif


def read_provenance(path: str | Path) -> dict[str, Any]:
    """What a file of this package says of where it comes from (any image, animation or page); {} for another file."""
    path = Path(path)
    if path.suffix == ".mp4":
        check_video()
        import av

        with av.open(str(path)) as container:
            text: Any = container.metadata.get("comment")
    elif path.suffix == ".html":
        found = re.search(f'<pre id="{METADATA_KEY}">(.*?)</pre>', path.read_text(encoding="utf-8"), re.DOTALL)
        text = html.unescape(found[1]) if found else None
    else:
        with Image.open(path) as image:
            text = image.info.get(METADATA_KEY) or image.info.get("comment") or image.getexif().get(DESCRIPTION)
    try:
        value = json.loads(text or "{}")
    except json.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
