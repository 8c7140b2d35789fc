"""SFace in PyTorch against what ONNX Runtime makes of the published file, and on real faces."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from ifgan_pl.generators.wheels import download
from ifgan_pl.photos.alignment import align, face_quad
from ifgan_pl.photos.faces import open_photo
from ifgan_pl.photos.identity import WHEEL, face_part, load_sface
from tests.photos.photographs import HOPPER_POINTS, hopper


@pytest.fixture(scope="module")
def face() -> Tensor:
    """(1, 3, 256, 256)."""
    return as_tensor(align(hopper(), face_quad(HOPPER_POINTS), 256))


def as_tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 127.5 - 1


def test_it_equals_onnx_runtime(face: Tensor) -> None:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(download(WHEEL)["sface"], options)
    unused = {put.name: np.zeros(put.shape, np.float32) for put in session.get_inputs()[1:]}
    part = face_part(face)
    levels = (part * 127.5 + 127.5).numpy()
    (expected,) = session.run(None, {"data": levels, **unused})
    found = load_sface()(face)
    assert torch.allclose(found[0], torch.from_numpy(expected[0] / np.linalg.norm(expected)), atol=1e-4)


def test_features_are_of_any_size_and_differentiable(face: Tensor) -> None:
    image = face[..., ::2, ::2].clone().requires_grad_()
    shapes = [tuple(f.shape[1:]) for f in load_sface().features(image)]
    assert shapes == [(128, 64, 64), (256, 32, 32), (512, 16, 16)]
    load_sface()(image)[0, 0].backward()
    assert image.grad is not None
    assert float(image.grad.abs().sum()) > 0


def test_people_are_parted(shared: Path) -> None:
    """The smiling photograph that is most like a neutral one is of the same person."""
    portraits = shared / "portraits"
    names = [path.name for path in sorted((portraits / "neutral").glob("*.jpg"))[:4]]
    rows = []
    for kind in ("neutral", "smiling"):
        faces = [open_photo(portraits / kind / name).faces[0].aligned(128) for name in names]
        rows.append(torch.cat([load_sface()(as_tensor(pixels)) for pixels in faces]))
    cosines = rows[0] @ rows[1].mT
    assert torch.equal(cosines.argmax(1), torch.arange(len(names)))
    assert float(cosines.diagonal().min()) > 0.5
