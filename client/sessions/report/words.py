"""Numbers as a person reads them."""

from __future__ import annotations

import math

from .figures import Mean


def shown(value: float) -> str:
    """At most four significant digits, without trailing zeros; a dash where there is no number."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.4g}".replace("-", "−")


def measured(mean: Mean) -> str:
    """``12.3 ± 0.4``, or the number alone."""
    if math.isfinite(mean.sem) and mean.sem > 0:
        digits = max(0, 1 - math.floor(math.log10(mean.sem)))
        return f"{mean.value:.{digits}f} ± {mean.sem:.{digits}f}".replace("-", "−")
    return shown(mean.value)
