from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ifgan_pl import functional as F

CONDITIONAL = [
    "age_c_eyeglasses",
    "age_c_gender",
    "age_c_gender_eyeglasses",
    "eyeglasses_c_age",
    "eyeglasses_c_age_gender",
    "eyeglasses_c_gender",
    "gender_c_age",
    "gender_c_age_eyeglasses",
    "gender_c_eyeglasses",
]
Published = Callable[[str], torch.Tensor]


@pytest.fixture
def published(shared: Path) -> Published:
    """InterFaceGAN's boundary (d,) float64 of a name."""
    folder = shared / "interfacegan_boundaries"
    return lambda name: torch.from_numpy(np.load(folder / f"{name}_boundary.npy", allow_pickle=False))[0]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", CONDITIONAL)
def test_project_out_gives_the_published_conditional_boundaries(name: str, published: Published) -> None:
    primal, conditions = name.split("_c_")
    ours = F.project_out(
        published(f"pggan_celebahq_{primal}"),
        torch.stack([published(f"pggan_celebahq_{c}") for c in conditions.split("_")]),
    )
    assert (ours - published(f"pggan_celebahq_{name}")).abs().max() < 1e-8


@pytest.mark.parametrize(
    ("family", "suffix", "age_gender", "age_glasses", "gender_glasses"),
    [
        ("pggan", "", 0.486, 0.378, 0.523),
        ("stylegan", "", 0.268, 0.319, 0.644),
        ("stylegan", "_w", 0.137, 0.075, 0.267),
    ],
)
def test_semantic_covariance_gives_the_published_cosines(
    family: str, suffix: str, age_gender: float, age_glasses: float, gender_glasses: float, published: Published
) -> None:
    normals = torch.stack([published(f"{family}_celebahq_{n}{suffix}") for n in ("age", "gender", "eyeglasses")])
    cosines = F.semantic_covariance(normals, torch.ones(3, dtype=torch.float64))
    found = [cosines[0, 1], cosines[0, 2], cosines[1, 2]]
    torch.testing.assert_close(
        torch.stack(found), torch.tensor([age_gender, age_glasses, gender_glasses]).double(), atol=6e-4, rtol=0
    )


def test_project_out_is_orthogonal_to_all_conditions_in_float32_and_nearest() -> None:
    primal, conditions = random(64).float(), random(5, 64, seed=1).float()
    found = F.project_out(primal, conditions)
    assert found.dtype == torch.float32
    assert (conditions @ found).abs().max() < 1e-5
    assert abs(found.norm() - 1) < 1e-6
    coefficients = torch.linalg.lstsq(conditions.mT.double(), primal.double()).solution  # oracle
    rest = primal.double() - conditions.mT.double() @ coefficients
    torch.testing.assert_close(found.double(), rest / rest.norm(), atol=1e-6, rtol=0)


def test_project_out_with_dependent_conditions_uses_their_span() -> None:
    primal, conditions = random(32), random(2, 32, seed=1)
    doubled = torch.cat([conditions, conditions.sum(0, keepdim=True), 3 * conditions[:1]])
    torch.testing.assert_close(F.project_out(primal, doubled), F.project_out(primal, conditions))


def test_project_out_without_conditions_normalises_and_keeps_the_shape() -> None:
    primal = random(1, 8)
    torch.testing.assert_close(F.project_out(primal, random(0, 8)), primal / primal.norm())


def test_project_out_refuses_what_leaves_nothing() -> None:
    conditions = random(2, 16)
    with pytest.raises(ValueError, match="nothing is left"):
        F.project_out(conditions.sum(0), conditions)
    with pytest.raises(ValueError, match="condition 1 is a zero"):
        F.project_out(random(16), torch.stack([random(16), torch.zeros(16).double()]))
    with pytest.raises(ValueError, match=r"\(k, 16\) expected, got \(2, 8\)"):
        F.project_out(random(16), random(2, 8))


def test_signed_distance_is_in_latent_units_whatever_the_length_of_the_normal() -> None:
    codes, normals, biases = random(4, 8), random(3, 8, seed=1), random(3, seed=2)
    once = F.signed_distance(codes, normals, biases)
    torch.testing.assert_close(F.signed_distance(codes, 5 * normals, 5 * biases), once)
    feet = codes[:, None] - once[..., None] * (normals / normals.norm(dim=1, keepdim=True))
    torch.testing.assert_close((feet * normals).sum(-1) + biases, torch.zeros(4, 3).double(), atol=1e-12, rtol=0)


def test_shift_moves_plain_codes_and_chosen_layers() -> None:
    direction = random(8, seed=3)
    codes, ws = random(4, 8), random(4, 6, 8, seed=1)
    torch.testing.assert_close(F.shift(codes, direction, 2.0), codes + 2 * direction)
    strengths = torch.arange(4).double()
    torch.testing.assert_close(F.shift(ws, direction, strengths), ws + strengths[:, None, None] * direction)
    moved = F.shift(ws, direction, 2.0, layers=[1, 2])
    torch.testing.assert_close(moved[:, 1:3], ws[:, 1:3] + 2 * direction)
    assert torch.equal(moved[:, [0, 3, 4, 5]], ws[:, [0, 3, 4, 5]])
    per_code = random(4, 8, seed=4)
    torch.testing.assert_close(F.shift(codes, per_code), codes + per_code)
    torch.testing.assert_close(F.shift(ws, per_code[:, None]), ws + per_code[:, None])
    with pytest.raises(ValueError, match=r"\(4, 8\) does not fit codes \(4, 6, 8\)"):
        F.shift(ws, per_code)
    with pytest.raises(ValueError, match="layers must lie in 0 … 5, got 6"):
        F.shift(ws, direction, layers=[6])
    with pytest.raises(ValueError, match="rows of W"):
        F.shift(codes, direction, layers=[0])


def test_move_to_reaches_the_absolute_distance() -> None:
    normal, bias = 3 * random(8, seed=1), random(1, seed=2)[0]
    for codes in (random(4, 8), random(4, 6, 8)):
        moved = F.move_to(codes, normal, bias, torch.tensor([-1.0, 0.0, 2.0, 3.0]))
        reached = F.signed_distance(moved, normal[None], bias[None])[..., 0]
        wanted = torch.tensor([-1.0, 0.0, 2.0, 3.0]).double().reshape(-1, *[1] * (codes.ndim - 2))
        torch.testing.assert_close(reached, wanted.expand_as(reached))
        across = moved - codes
        residue = across - (across @ normal)[..., None] * normal / normal.norm() ** 2
        assert residue.abs().max() < 1e-12


def test_semantic_covariance_is_the_covariance_of_linear_scores() -> None:
    codes = random(500, 12) @ random(12, 12, seed=1)
    normals = torch.nn.functional.normalize(random(3, 12, seed=2), dim=1)
    lambdas = torch.tensor([0.5, 2.0, 3.0]).double()
    scores = codes @ normals.mT * lambdas
    torch.testing.assert_close(F.semantic_covariance(normals, lambdas, codes.mT.cov()), scores.mT.cov())


def test_minimum_norm_edit_meets_its_constraints_at_the_least_cost() -> None:
    normals = torch.nn.functional.normalize(random(3, 12), dim=1)
    lambdas = torch.tensor([0.5, 2.0, 3.0]).double()
    changes = torch.tensor([[1.0, 0.0, -2.0], [0.0, 1.0, 0.0]]).double()
    root = random(12, 12, seed=1)
    metric = root @ root.mT
    edit = F.minimum_norm_edit(normals, lambdas, changes, metric)
    torch.testing.assert_close(edit @ normals.mT * lambdas, changes)
    free = torch.linalg.svd(normals).Vh[3:]  # every other shift with these changes differs by a combination of these
    assert (free @ torch.linalg.solve(metric, edit.mT)).abs().max() < 1e-8  # so the gradient of the cost must vanish


def test_minimum_norm_edit_in_the_identity_metric_is_the_papers_projection() -> None:
    normals = torch.nn.functional.normalize(random(3, 12), dim=1)
    edit = F.minimum_norm_edit(normals, torch.ones(3).double(), torch.tensor([1.0, 0.0, 0.0]).double())
    torch.testing.assert_close(edit / edit.norm(), F.project_out(normals[0], normals[1:]))


def test_minimum_norm_edit_refuses_dependent_directions() -> None:
    normals = random(2, 12)
    with pytest.raises(ValueError, match="depend on each other"):
        F.minimum_norm_edit(normals[[0, 0]], torch.ones(2), torch.ones(2))
    with pytest.raises(ValueError, match="expected, got"):
        F.minimum_norm_edit(normals, torch.ones(2), torch.ones(3))


def test_edits_are_differentiable() -> None:
    root = random(6, 6, seed=1)
    codes, normals, lambdas = random(2, 6), random(2, 6, seed=2), random(2, seed=3).abs() + 1
    metric = root @ root.mT

    def edited(codes: torch.Tensor, normals: torch.Tensor, lambdas: torch.Tensor) -> torch.Tensor:
        edit = F.minimum_norm_edit(normals, lambdas, torch.tensor([1.0, 0.0]), metric)
        return F.signed_distance(F.shift(codes, edit), normals)

    assert torch.autograd.gradcheck(edited, [t.requires_grad_() for t in (codes, normals, lambdas)])


def test_matrix_sqrt() -> None:
    root = random(8, 8)
    matrix = root @ root.mT
    found = F.matrix_sqrt(matrix)
    torch.testing.assert_close(found @ found, matrix)
    torch.testing.assert_close(found, found.mT)
