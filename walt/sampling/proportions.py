"""Classes of samples in the proportions of a set of clips."""

from __future__ import annotations

from collections.abc import Mapping


def in_proportion(clips: Mapping[int, int], count: int) -> list[int]:
    """So many classes, each as often as its share of the clips, to less than one sample; each spread evenly over them.

    Args:
        clips: class -> its clips, one or more.
    """
    total = sum(clips.values())
    asked = {label: count * of_class // total for label, of_class in clips.items()}
    missing = count - sum(asked.values())
    # what is left goes to those that lack most
    for label in sorted(clips, key=lambda label: (-(count * clips[label] % total), label))[:missing]:
        asked[label] += 1
    # the j-th of a class's n samples has its place at (j + 1/2) / n of all
    places = [((number + 0.5) / of_class, label) for label, of_class in asked.items() for number in range(of_class)]
    return [label for _, label in sorted(places)]
