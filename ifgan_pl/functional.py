"""Pure tensor maths of linear semantics: distances, projections, edits, covariances. No Lightning, no files.

Notation of the paper (Shen et al. 2020, arXiv 2005.09635, section 3): unit normals ``N = [n_1 … n_m]``, distance
``d(n, z) = nᵀz + b`` in latent units, scores ``s = Λ Nᵀ z``. Codes are (N, d), or W+ (N, num_ws, d), of which every
row is a code of its own. Everything is differentiable in all tensor arguments and keeps the device of its inputs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

DEPENDENT = 1e-6
"""Directions count as linearly dependent if their Gram matrix, scaled to a unit diagonal, has a smaller eigenvalue."""


def signed_distance(codes: Tensor, normals: Tensor, biases: Tensor | None = None) -> Tensor:
    """``(nᵀz + b) / |n|``: signed distance of codes to hyperplanes, in latent units (section 3.1).

    Args:
        codes: (..., d) floating.
        normals: (m, d); need not be unit.
        biases: (m,); ``None``: hyperplanes through the origin.

    Returns:
        (..., m), positive on the side that the normal points to.
    """
    _check_dim(codes, normals)
    distances = codes @ normals.mT
    if biases is not None:
        distances = distances + biases
    in_units: Tensor = distances / torch.linalg.vector_norm(normals, dim=-1)
    return in_units


def project_out(primal: Tensor, conditions: Tensor) -> Tensor:
    """The unit direction nearest to ``primal`` that changes no condition (section 3.3, conditional manipulation).

    It is the projection of ``primal`` on the orthogonal complement of the span of ``conditions``, for any number of
    them; ``n₁ - (n₁ᵀn₂) n₂`` for one. Conditions may depend on each other: only their span matters.

    Args:
        primal: (d,) or (1, d) floating.
        conditions: (k, d), k ≥ 0; need not be unit.

    Returns:
        the shape and dtype of ``primal``, unit norm. Computed in float64.

    Raises:
        ValueError: shapes do not fit, a condition is zero, or ``primal`` lies in the span of the conditions.
    """
    vector = primal.reshape(-1).double()
    if conditions.ndim != 2 or conditions.shape[1] != vector.shape[0]:
        raise ValueError(f"conditions of shape (k, {vector.shape[0]}) expected, got {tuple(conditions.shape)}")
    length = torch.linalg.vector_norm(vector)
    if not length > 0:
        raise ValueError("primal is a zero vector")
    rest = vector / length
    if len(conditions):
        norms = torch.linalg.vector_norm(conditions.double(), dim=1, keepdim=True)
        if not bool((norms > 0).all()):
            raise ValueError(f"condition {int(norms.argmin())} is a zero vector")
        _, sizes, rows = torch.linalg.svd(conditions.double() / norms, full_matrices=False)
        basis = rows[sizes > DEPENDENT**0.5 * sizes[0]]
        for _ in range(2):  # the second pass removes what rounding left of the first
            rest = rest - (rest @ basis.mT) @ basis
    remaining = torch.linalg.vector_norm(rest)
    if not remaining > DEPENDENT**0.5:
        raise ValueError("primal lies in the span of the conditions: nothing is left to move along")
    unit: Tensor = rest / remaining
    return unit.to(primal.dtype).reshape(primal.shape)


def shift(
    codes: Tensor, direction: Tensor, strength: float | Tensor = 1.0, *, layers: Sequence[int] | None = None
) -> Tensor:
    """``z + α n``: move codes along a direction (section 3.2, single attribute manipulation).

    Args:
        codes: (N, d) or W+ (N, num_ws, d).
        direction: (d,); or one for each code, (N, d) for (N, d) codes and (N, 1, d) for W+; or one for each layer of
            W+ codes, (num_ws, d).
        strength: α in latent units for a unit direction; a number, or (N,) for one a code.
        layers: rows of W+ codes that move; ``None``: all. Refused for (N, d) codes.

    Returns:
        the shape of ``codes``.
    """
    _check_dim(codes, direction)
    strength = torch.as_tensor(strength, dtype=codes.dtype, device=codes.device)
    if strength.ndim > 1 or (strength.ndim == 1 and len(strength) != len(codes)):
        raise ValueError(f"strength: a number or ({len(codes)},) expected, got {tuple(strength.shape)}")
    if direction.ndim > 1 and direction.ndim != codes.ndim and direction.shape[0] != codes.shape[1]:
        raise ValueError(f"direction of shape {tuple(direction.shape)} does not fit codes {tuple(codes.shape)}")
    step = strength.reshape(-1, *[1] * (codes.ndim - 1)) * direction.to(codes)
    return codes + step * _layer_mask(codes, layers)


def move_to(
    codes: Tensor, normal: Tensor, bias: Tensor | float, target: float | Tensor, *, layers: Sequence[int] | None = None
) -> Tensor:
    """Move codes along ``normal`` until their signed distance to the hyperplane is ``target`` (absolute mode).

    This is the shortest such move. :func:`shift` is the relative mode. InterFaceGAN's ``linear_interpolate`` is
    absolute for (1, d) codes and relative for W+.

    Args:
        codes: (N, d) or W+ (N, num_ws, d), where every row is moved to the target.
        normal: (d,); need not be unit.
        bias: scalar bias that belongs to ``normal``.
        target: wanted distance in latent units; a number, or (N,).
        layers: rows of W+ codes that move; ``None``: all.

    Returns:
        the shape of ``codes``.
    """
    normal = normal.to(codes)
    distance = signed_distance(codes, normal[None], torch.as_tensor(bias, dtype=codes.dtype, device=codes.device))
    target = torch.as_tensor(target, dtype=codes.dtype, device=codes.device)
    target = target.reshape(-1, *[1] * (codes.ndim - 1))
    step: Tensor = (target - distance) * normal / torch.linalg.vector_norm(normal)
    return codes + step * _layer_mask(codes, layers)


def semantic_covariance(normals: Tensor, lambdas: Tensor, second_moment: Tensor | None = None) -> Tensor:
    """``Σ_s = Λ Nᵀ E[zzᵀ] N Λ``: covariance of the scores under the linear model (section 3.1, equation 5).

    Args:
        normals: (m, d) unit.
        lambdas: (m,) score change per latent unit along each normal.
        second_moment: (d, d) covariance of the codes; ``None``: identity, as in Z.

    Returns:
        (m, m). Diagonal: the semantics are disentangled.
    """
    inner = normals @ normals.mT if second_moment is None else normals @ second_moment.to(normals) @ normals.mT
    return lambdas[:, None] * inner * lambdas


def minimum_norm_edit(normals: Tensor, lambdas: Tensor, changes: Tensor, metric: Tensor | None = None) -> Tensor:
    """The shift of least norm in a metric that changes the scores of the linear model by exactly ``changes``.

    ``δ = M N (Nᵀ M N)⁻¹ Λ⁻¹ c`` minimises ``δᵀ M⁻¹ δ`` subject to ``Λ Nᵀ δ = c``. With ``M`` the covariance of the
    codes it is the most probable such shift under a Gaussian; with the identity and ``c = (λα, 0, …, 0)`` it is
    parallel to :func:`project_out` of the first normal.

    Args:
        normals: (k, d) of the attributes that are edited or held.
        lambdas: (k,), non-zero; ones: changes are distances in latent units.
        changes: (..., k) wanted score changes; zero for a held attribute.
        metric: (d, d) symmetric positive semi-definite; ``None``: identity.

    Returns:
        (..., d) in the dtype of ``normals``. Computed in float64.

    Raises:
        ValueError: shapes do not fit, or the directions depend on each other in this metric.
    """
    if normals.ndim != 2 or changes.shape[-1:] != normals.shape[:1] or lambdas.shape != normals.shape[:1]:
        raise ValueError(
            f"normals (k, d), lambdas (k,), changes (..., k) expected, got {tuple(normals.shape)}, "
            f"{tuple(lambdas.shape)}, {tuple(changes.shape)}"
        )
    filters = normals.double()
    spread = filters if metric is None else filters @ metric.double()  # (k, d) rows M n
    return least_shift(filters, spread, changes.to(filters) / lambdas.double()).to(normals.dtype)


def least_shift(filters: Tensor, spread: Tensor, changes: Tensor) -> Tensor:
    """``δ = M F (Fᵀ M F)⁻¹ c`` where ``M F`` is known, and M perhaps too large to be held.

    Args:
        filters: (k, d), rows of Fᵀ.
        spread: (k, d), the same rows times M.
        changes: (..., k) wanted values of ``Fᵀ δ``.

    Returns:
        (..., d) float64.

    Raises:
        ValueError: the filters depend on each other in this metric.
    """
    filters, spread = filters.double(), spread.double()
    gram = spread @ filters.mT
    gram = (gram + gram.mT) / 2
    if dependent(gram):
        raise ValueError("the directions depend on each other: no shift changes them separately")
    shares: Tensor = torch.linalg.solve(gram, changes.to(gram).unsqueeze(-1)).squeeze(-1)
    return shares @ spread


def dependent(gram: Tensor) -> bool:
    """Whether vectors of this (k, k) Gram matrix are linearly dependent, or one of them is zero."""
    size = gram.detach().double().diagonal()
    if not bool((size > 0).all()):
        return True
    scaled = gram.detach().double() * size.rsqrt()[:, None] * size.rsqrt()
    return bool(torch.linalg.eigvalsh(scaled)[0] < DEPENDENT)


def matrix_sqrt(matrix: Tensor) -> Tensor:
    """Symmetric square root of a positive semi-definite (d, d) matrix, by float64 eigendecomposition."""
    values, vectors = torch.linalg.eigh(matrix.double())
    root: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.mT
    return root.to(matrix.dtype)


def _layer_mask(codes: Tensor, layers: Sequence[int] | None) -> Tensor:
    if layers is None:
        return codes.new_ones(())
    if codes.ndim != 3:
        raise ValueError(f"layers are rows of W+ codes (N, num_ws, d); got codes of shape {tuple(codes.shape)}")
    wrong = [layer for layer in layers if not 0 <= layer < codes.shape[1]]
    if wrong:
        raise ValueError(f"layers must lie in 0 … {codes.shape[1] - 1}, got {wrong[0]}")
    mask = codes.new_zeros(codes.shape[1], 1)
    mask[list(layers)] = 1
    return mask


def _check_dim(codes: Tensor, directions: Tensor) -> None:
    if codes.shape[-1] != directions.shape[-1]:
        raise ValueError(f"codes have dimension {codes.shape[-1]}, directions {directions.shape[-1]}")
