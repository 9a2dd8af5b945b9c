"""Quality: how far a text is from looking like clutter, told from what was counted in it. No model has looked at it.

The same limits for every document, whatever its profile, so that copies from two sources compare; and none that asks for
English or for length: stop words, lengths of words and of texts are left out, rates per word, line and character stay.

Axes: N documents.
"""

from functools import cache

import numpy as np

from tasks.curate.profiles import built_in
from tasks.curate.rules.rule import Floats, Rule, Threshold, Values, head_room

# Who counted, the first that did has the say: words between blanks, datatrove's tokens, DCLM's. The limits are those that
# the Gopher paper, datatrove and DCLM publish for them.
_LIMITS_OF = (("gopher", "gopher"), ("english", "datatrove"), ("rewriting", "refinedweb"))
_RATES = ("_fraction", "_ratio")


def quality(statistics: Values, documents: int) -> Floats:
    """Return the mean head-room of so many documents under the published limits on rates, in [0, 1].

    1 where nothing was counted that they look at.
    """
    found_N = np.full(documents, np.nan)
    for group, profile in _LIMITS_OF:
        rates = _rates(group, profile)
        if all(rule.statistic in statistics for rule, _ in rates):
            mean_N = sum(head_room(rule, limit, statistics[rule.statistic]) for rule, limit in rates) / len(rates)
            found_N = np.where(np.isnan(found_N), mean_N, found_N)
    return np.where(np.isnan(found_N), 1.0, found_N)


@cache
def _rates(group: str, profile: str) -> tuple[tuple[Rule, Threshold], ...]:
    active = built_in(profile).active
    return tuple((rule, limit) for _, rule, limit in active if rule.group == group and rule.statistic.endswith(_RATES))
