"""What share of the samples shows what their prompts ask for, with intervals."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from walt.core.figures import Figure
from walt.evaluation.adherence import PromptCheck, matching
from walt.evaluation.draws import Groups
from walt.evaluation.groups import chosen
from walt.evaluation.metric_names import ADHERENCE
from walt.evaluation.resampling import over_sets, share_figure
from walt.evaluation.set_figures import of_each_set


def adherence_shares(
    checks: Sequence[PromptCheck | None], sets_of: Sequence[Hashable], conditions: Mapping[str, str], groups: Groups
) -> dict[str, Figure]:
    """By ``ADHERENCE``, the mean of the shares of each set; what no prompt of a set asks for is left out.

    Args:
        checks: of each sample, in their order, as ``sets_of``, what the set of each is called, and
            ``groups``, those that are drawn together.
    """
    sets = of_each_set(sets_of)
    of_sets = [matching([checks[place] for place in one]) for one in sets]
    figures = {}
    for what in ADHERENCE:
        if not sets or not all(what in found for found in of_sets):
            continue
        shares = []
        for one, found in zip(sets, of_sets, strict=True):
            places = [one[place] for place in found[what]]
            shares.append(share_figure([*found[what].values()], conditions, chosen(groups, places)))
        figures[what] = over_sets(shares)
    return figures
