"""How many people were in the middle of their morning, at any moment."""


class Crowd:
    """Told of everybody who comes and goes, with the second of it, in order."""

    def __init__(self) -> None:
        self._inside = 0
        self._changes: list[tuple[float, int]] = []

    def enter(self, at_s: float) -> None:
        self._change(at_s, 1)

    def leave(self, at_s: float) -> None:
        self._change(at_s, -1)

    @property
    def peak(self) -> int:
        return max((inside for _, inside in self._changes), default=0)

    def sustained(self, seconds: float) -> int:
        """The most people that were there at every moment of some span of that length."""
        levels = range(self.peak, 0, -1)
        return next((level for level in levels if self._longest_s(level) >= seconds), 0)

    def _change(self, at_s: float, by: int) -> None:
        self._inside += by
        self._changes.append((at_s, self._inside))

    def _longest_s(self, level: int) -> float:
        """The longest span in which at least so many were there; one that did not end does not count."""
        longest_s, since_s = 0.0, None
        for at_s, inside in self._changes:
            if inside < level and since_s is not None:
                longest_s, since_s = max(longest_s, at_s - since_s), None
            elif inside >= level and since_s is None:
                since_s = at_s
        return longest_s
