"""What may be protected apart from a film's own copyright."""

from __future__ import annotations

from ossl_builder.rights.facts import Facts, Risk

GENERAL = (
    Risk(
        "score",
        "The music can be protected apart from the film, if it was published or registered on "
        "its own.",
    ),
    Risk(
        "songs", "Songs heard in the film have rights of their own, in words, tune and recording."
    ),
    Risk(
        "restoration",
        "A copy that was restored, coloured, cut or scored anew is protected in what was added. "
        "Prefer a copy of an old print.",
    ),
    Risk(
        "story",
        "The novel, play or characters behind the film can be protected longer than the film "
        "(Russell v. Price, 9th Cir. 1979; Stewart v. Abend, US Supreme Court 1990), "
        "and names of characters can be trademarks.",
    ),
    Risk(
        "territory",
        "This speaks of the United States only. Elsewhere other terms apply, often 70 years after "
        "the death of the last author.",
    ),
)


def risks_of(facts: Facts) -> tuple[Risk, ...]:
    """The risks of this film in particular, then those of any film."""
    special = list(facts.risks)
    if facts.government_work:
        special.append(
            Risk(
                "co-production",
                "A company may have had a part in a government film, and material of others may "
                "stand in it. Read the credits.",
            )
        )
    return (*special, *GENERAL)
