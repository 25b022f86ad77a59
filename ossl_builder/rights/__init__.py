"""Rights of a film in the United States: facts, evidence, verdict. This is no legal advice."""

from ossl_builder.rights.case import Verdict
from ossl_builder.rights.explain import explain
from ossl_builder.rights.facts import Evidence, Facts, Risk, facts_of
from ossl_builder.rights.verdict import facts_of_claim, judge, verdict_of

__all__ = [
    "Evidence", "Facts", "Risk", "Verdict", "explain", "facts_of", "facts_of_claim", "judge",
    "verdict_of",
]  # fmt: skip
