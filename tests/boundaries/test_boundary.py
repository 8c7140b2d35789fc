from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ifgan_pl import functional
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.boundaries.fit import fit_boundary
from ifgan_pl.core.errors import UserError

NAMES = ("smile", "male", "age")


def make(dim: int = 10, space: str = "w", dtype: torch.dtype = torch.float64) -> LinearBoundary:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(dim, dim, generator=generator, dtype=dtype)
    return LinearBoundary(
        torch.nn.functional.normalize(torch.randn(3, dim, generator=generator, dtype=dtype), dim=1),
        torch.randn(3, generator=generator),
        attributes=NAMES,
        kinds=("binary", "binary", "continuous"),
        space=space,
        family="stylegan2-ffhq",
        num_ws=4,
        truncation=0.7,
        lambdas=torch.tensor([0.5, 2.0, 3.0]),
        offsets=torch.tensor([0.0, 1.0, 30.0]),
        score_mean=torch.tensor([0.1, 0.2, 35.0]),
        score_std=torch.tensor([1.0, 4.0, 12.0]),
        calibration=torch.tensor([[1.0, 0.0], [2.0, 1.0], [3.0, -1.0]]),
        code_mean=torch.randn(dim, generator=generator),
        covariance=root @ root.mT,
        metrics={"attributes": {"smile": {"r2": 0.5}}},
        provenance={"seed": 0},
    )


def codes(count: int = 6, dim: int = 10) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def test_a_file_gives_the_same_boundary_and_the_same_bytes(tmp_path: Path) -> None:
    boundary = make()
    boundary.save(tmp_path / "a.safetensors")
    loaded = LinearBoundary.load(tmp_path / "a.safetensors")
    loaded.save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    for name, value in boundary.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    for name in ("attributes", "kinds", "space", "family", "num_ws", "truncation", "metric", "metrics", "provenance"):
        assert getattr(loaded, name) == getattr(boundary, name)


@pytest.mark.parametrize("content", [b"", b"garbage" * 100])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="not a readable"):
        LinearBoundary.load(tmp_path / "a.safetensors")


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"normals": torch.ones(1, 4)}, tmp_path / "a.safetensors")
    with pytest.raises(UserError, match="not a boundary file"):
        LinearBoundary.load(tmp_path / "a.safetensors")
    with pytest.raises(UserError, match="no such file"):
        LinearBoundary.load(tmp_path / "absent.safetensors")


def test_npy_files_of_interfacegan(tmp_path: Path) -> None:
    vector = codes(1)
    vector /= vector.norm()
    np.save(tmp_path / "pggan_celebahq_smile_boundary.npy", vector.numpy())
    boundary = LinearBoundary.load(tmp_path / "pggan_celebahq_smile_boundary.npy")
    assert (boundary.attributes, boundary.space) == (("pggan_celebahq_smile",), "z")
    boundary.to_npy(tmp_path / "again.npy", "pggan_celebahq_smile")
    again = np.load(tmp_path / "again.npy", allow_pickle=False)
    assert again.shape == (1, 10)
    np.testing.assert_allclose(again, vector, atol=1e-15)
    with pytest.raises(UserError, match="no score statistics of pggan_celebahq_smile"):
        boundary.edit_shift({"pggan_celebahq_smile": 1.0})


@pytest.mark.parametrize(
    "array", [np.ones(4), np.ones((2, 4)), np.ones((1, 4), int), np.full((1, 4), np.nan), np.zeros((1, 4))]
)
def test_other_npy_arrays_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(UserError):
        LinearBoundary.from_npy(tmp_path / "x.npy")


def test_a_pickle_in_an_npy_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[object()]]), allow_pickle=True)
    with pytest.raises(UserError, match="not a readable"):
        LinearBoundary.from_npy(tmp_path / "x.npy")


def test_directions_in_the_identity_metric_are_the_published_conditional_boundaries(shared: Path) -> None:
    folder = shared / "interfacegan_boundaries"
    names = ("age", "gender", "eyeglasses")
    normals = torch.cat(
        [LinearBoundary.from_npy(folder / f"pggan_celebahq_{n}_boundary.npy").normals.detach() for n in names]
    )
    boundary = LinearBoundary(normals, attributes=names, space="z", metric="identity")
    found = boundary.direction("age", hold="all")
    published = np.load(folder / "pggan_celebahq_age_c_gender_eyeglasses_boundary.npy")[0]
    assert np.abs(found.numpy() - published).max() < 1e-8


def test_an_edit_is_exact_in_the_linear_model_in_every_metric() -> None:
    boundary, x = make(), codes()
    for metric in ("covariance", "sqrt", "identity"):
        step = boundary.edit_shift({"smile": 2.0, "age": -1.0}, hold=["gender"], metric=metric)
        moved = boundary.predict_scores(x + step) - boundary.predict_scores(x)
        torch.testing.assert_close(moved, torch.tensor([2.0, 0.0, -12.0]).double().expand_as(moved))


def test_latent_units_in_the_identity_metric_are_the_papers_edit() -> None:
    boundary = make()
    step = boundary.edit_shift({"smile": -3.0}, unit="latent", metric="identity")
    torch.testing.assert_close(step, -3 * boundary.normals[0].detach(), atol=1e-14, rtol=0)
    held = boundary.direction("smile", hold=["age", "male"], metric="identity")
    torch.testing.assert_close(held, functional.project_out(boundary.normals[0], boundary.normals[1:]).detach())


def test_the_default_metric_is_the_stored_one_and_the_covariance_gives_the_least_unlikely_shift() -> None:
    boundary = make()
    step = boundary.edit_shift({"smile": 1.0})
    assert torch.equal(step, boundary.edit_shift({"smile": 1.0}, metric="covariance"))
    other = boundary.edit_shift({"smile": 1.0}, metric="identity")
    cost = [float(s @ torch.linalg.solve(boundary.covariance, s)) for s in (step, other)]
    assert cost[0] < cost[1]


def test_in_z_all_metrics_agree() -> None:
    source = make()
    boundary = LinearBoundary(source.normals, attributes=NAMES, space="z")
    first, *others = [boundary.direction("age", hold="all", metric=m) for m in ("identity", "sqrt", "covariance")]
    for other in others:
        torch.testing.assert_close(other, first)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"beard": 1.0}, {}, "unknown attribute 'beard'; known: smile, male, age"),
        ({"smile": 1.0}, {"hold": ["beard"]}, "unknown attribute 'beard'"),
        ({"gender": 1.0}, {"hold": ["male"]}, "male is both edited and held"),
        ({"gender": 1.0, "male": 2.0}, {}, "edited twice"),
        ({"smile": float("nan")}, {}, "finite"),
        ({}, {}, "needs attributes"),
        ({"smile": 1.0}, {"unit": "sigma"}, "unknown unit 'sigma'"),
        ({"smile": 1.0}, {"metric": "l1"}, "unknown metric 'l1'; known: covariance, sqrt, identity"),
    ],
)
def test_mistakes_are_one_line(changes: dict[str, float], options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        make().edit_shift(changes, **options)
    assert "\n" not in str(caught.value)


def test_dependent_directions_are_named() -> None:
    source = make()
    normals = source.normals[[0, 1, 0]].detach()
    boundary = LinearBoundary(normals, attributes=NAMES, space="w", metric="identity")
    with pytest.raises(UserError, match="smile, age depend on each other"):
        boundary.direction("smile", hold=["age"])
    with pytest.raises(UserError, match="holds no covariance"):
        boundary.direction("smile", metric="sqrt")


def test_check_codes_names_both_sides() -> None:
    boundary = make()
    boundary.check_codes(codes(), space="w", family="stylegan2-ffhq")
    boundary.check_codes(codes()[:, None].expand(-1, 4, -1), space="w+")
    with pytest.raises(UserError, match="the boundary is in Z, the codes are in W"):
        make(space="z").check_codes(codes(), space="w")
    with pytest.raises(UserError, match="belongs to stylegan2-ffhq, the codes to dcgan"):
        boundary.check_codes(codes(), space="w", family="dcgan")
    with pytest.raises(UserError, match="dimension 10, the codes have 8"):
        boundary.check_codes(codes(dim=8), space="w")
    with pytest.raises(UserError, match="not finite"):
        boundary.check_codes(codes() * torch.nan, space="w")


def test_gradients_reach_parameters_and_codes() -> None:
    boundary, x = make(), codes().requires_grad_()
    boundary.predict_scores(x).sum().backward()
    assert boundary.normals.grad is not None
    assert boundary.biases.grad is not None
    expected = (boundary.lambdas[:, None] * boundary.normals).sum(0)
    torch.testing.assert_close(x.grad, expected.detach().expand_as(x))


def test_probability_is_half_where_the_calibration_says() -> None:
    boundary = make()
    x = functional.move_to(codes(), boundary.normals[1], boundary.biases[1], -0.5).detach()
    torch.testing.assert_close(boundary.predict_proba(x)[:, 1].detach(), torch.full((6,), 0.5).double())


def test_w_plus_boundaries_see_flattened_codes() -> None:
    normals = torch.nn.functional.normalize(codes(2, 40), dim=1)
    boundary = LinearBoundary(normals, attributes=("a", "b"), space="w+", num_ws=4)
    ws = codes(6, 40).reshape(6, 4, 10)
    torch.testing.assert_close(boundary.distance(ws), ws.reshape(6, 40) @ normals.mT)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="distinct attributes"):
        LinearBoundary(torch.ones(2, 4), attributes=("a", "a"), space="z")
    with pytest.raises(ValueError, match=r"lambdas: shape \(2,\) expected, got \(3,\)"):
        LinearBoundary(torch.ones(2, 4), attributes=("a", "b"), space="z", lambdas=torch.ones(3))
    with pytest.raises(ValueError, match="space of"):
        LinearBoundary(torch.ones(2, 4), attributes=("a", "b"), space="s")


@pytest.mark.parametrize("name", ["squared", "logistic", "squared_hinge", "hinge"])
def test_a_loss_trains_normals_and_biases_and_skips_missing_targets(name: str) -> None:
    x, generator = codes(200), torch.Generator().manual_seed(3)
    boundary = LinearBoundary(torch.randn(3, 10, generator=generator).double(), attributes=NAMES, space="w")
    targets = torch.where(x[:, :3] > 0.2, 1.0, 0.0 if name == "logistic" else -1.0)
    targets[50:, 2] = torch.nan
    optimizer = torch.optim.LBFGS(boundary.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = boundary.loss(x, targets, name, l2=1e-2)
        loss.backward()
        return loss

    optimizer.step(step)
    right = (boundary.decision_function(x) > 0) == (targets > 0.5)
    assert right[:, :2].double().mean() > 0.95
    assert right[:50, 2].double().mean() > 0.95


def test_losses_name_themselves() -> None:
    with pytest.raises(ValueError, match="loss of squared, logistic, squared_hinge, hinge expected, got 'mse'"):
        make().loss(codes(), torch.ones(6, 3), "mse")


def test_a_boundary_of_some_layers_reads_and_moves_only_them(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    ws = torch.randn(3000, 4, 5, generator=generator)
    normal = torch.nn.functional.normalize(torch.arange(1.0, 6.0), dim=0)
    scores = torch.stack([ws[:, 2] @ normal, ws[:, 0, 0]], 1)
    options: dict[str, Any] = {"attributes": ["a", "b"], "kinds": ["continuous"] * 2, "space": "w+"}
    options |= {"num_ws": 4, "l2": 1e-3}
    boundary = fit_boundary(ws, scores, layers=[2], **options)
    assert boundary.normals.shape == (2, 5)
    torch.testing.assert_close(boundary.normals[0].detach(), normal, atol=1e-3, rtol=0)
    boundary.save(tmp_path / "b.safetensors")
    loaded = LinearBoundary.load(tmp_path / "b.safetensors")
    assert loaded.layers == (2,)
    loaded.check_codes(ws, space="w+")
    moved = ws + loaded.edit_shift({"a": 1.0}, unit="latent", metric="identity").view(4, 5)
    assert torch.equal(moved[:, [0, 1, 3]], ws[:, [0, 1, 3]])
    change = (loaded.distance(moved) - loaded.distance(ws))[:, 0]
    torch.testing.assert_close(change, torch.ones(3000), atol=1e-4, rtol=0)
    with pytest.raises(UserError, match="4 layers, the codes have 3"):
        loaded.check_codes(ws[:, :3], space="w+")
    with pytest.raises(UserError, match=r"layers are rows of W\+ codes"):
        fit_boundary(ws, scores, layers=[4], **options)
    with pytest.raises(ValueError, match="layers: rows of W"):
        LinearBoundary(torch.eye(2, 5), attributes=["a", "b"], space="w", layers=[0])
