"""What edits move, as the scorer sees their images: the movements of a boundary, and its response."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.boundaries.filters import steps_for
from ifgan_pl.core.progress import CountBar
from ifgan_pl.editing.editor import Editor
from ifgan_pl.scores.score_samples import score_codes


@torch.no_grad()
def movements(
    editor: Editor,
    scorer: Callable[[Tensor], Tensor],
    codes: Tensor,
    *,
    columns: Mapping[str, int],
    hold: Sequence[str] | str,
    truncation: float,
    resolution: int | None,
    strength: float = 1.0,
    progress: Callable[[int], None] = lambda done: None,
) -> Tensor:
    """Edit along each attribute and measure all (section 4.4).

    Args:
        editor: generator and boundary, whose ``score_std`` is the unit of edits and of movements.
        scorer: images (n, 3, H, W) -> scores (n, c).
        codes: (N, d) or (N, num_ws, w_dim).
        columns: the k attributes to edit and to measure -> their columns of the scores.
        hold: see :meth:`Editor.shifted`.
        truncation, resolution: see :meth:`Editor.images`.
        strength: of the edits, in standard deviations.
        progress: called after each edit of all faces with their number; 2 k times.

    Returns:
        (k, k) on the CPU: of each edit (rows) half the difference between +strength and -strength, the mean over faces,
        of each attribute (columns), in standard deviations.
    """
    boundary = editor.boundary

    def scores(name: str, strength: float) -> Tensor:
        edited = editor.shifted(codes, {name: strength}, hold=hold)
        space = "w+" if edited.ndim == 3 else boundary.space
        found = score_codes(editor.generator, scorer, edited, space=space, truncation=truncation, resolution=resolution)
        progress(len(codes))
        return found[:, list(columns.values())]

    rows = [(scores(name, strength) - scores(name, -strength)).mean(0) / 2 for name in columns]
    std = boundary.score_std[[boundary.index(name) for name in columns]]
    return (torch.stack(rows) / std.to(rows[0])).cpu()


def response(
    editor: Editor,
    scorer: Callable[[Tensor], Tensor],
    codes: Tensor,
    *,
    columns: Mapping[str, int],
    truncation: float,
    resolution: int | None,
) -> Tensor:
    """The ``response`` of a boundary: what edits of one standard deviation move, the core held.

    A gradient is that of an infinitesimal step. What a whole one moves beyond it (a frame narrows the eyes, which a
    scorer takes for less of a smile) is taken back by :meth:`LinearBoundary.edit_shift`, to first order.

    Args:
        editor: of a boundary with gradients and without a response.
        scorer, codes, columns, truncation, resolution: see :func:`movements`; faces other than those of the gradients.

    Returns:
        (m, m), of the identity where the attribute is not among ``columns``.
    """
    boundary = editor.boundary
    with CountBar("measuring edits", 2 * len(columns) * len(codes)) as bar:
        moved = movements(
            editor,
            scorer,
            codes,
            columns=columns,
            hold="all",
            truncation=truncation,
            resolution=resolution,
            progress=bar.advance,
        )
    found = torch.eye(len(boundary.attributes))
    rows = torch.tensor([boundary.index(name) for name in columns])
    found[rows[:, None], rows] = moved
    return found


def untangled(boundary: LinearBoundary, moved: Tensor) -> Tensor:
    """The response (m, m), from movements (m, m) that were measured with the boundary's own response taken back.

    An edit of an attribute then steps along the core as well (:func:`steps_for`): what these steps moved together is
    parted, first of the core, then of each attribute that was added to it.
    """
    core = [boundary.index(name) for name in boundary.core]
    steps = [steps_for(boundary, torch.tensor([float(i == t) for i in core]), core) for t in core]
    found = moved.clone()
    found[core] = torch.linalg.solve(torch.stack(steps), moved[core])
    for t in set(range(len(moved))) - set(core):
        own, *besides = steps_for(boundary, torch.tensor([1.0] + [0.0] * len(core)), [t, *core])
        found[t] = (moved[t] - torch.stack(besides) @ found[core]) / own
    return found
