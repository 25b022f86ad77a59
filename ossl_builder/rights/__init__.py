"""Why a film may be used in the United States: facts, evidence, verdict. No legal advice."""

from ossl_builder.rights.catalogued import facts_of
from ossl_builder.rights.claimed import facts_of_claim
from ossl_builder.rights.explain import explain
from ossl_builder.rights.facts import Evidence, Facts, Risk
from ossl_builder.rights.judge import judge
from ossl_builder.rights.recorded import verdict_of
from ossl_builder.rights.verdict import Verdict

__all__ = [
    "Evidence", "Facts", "Risk", "Verdict", "explain", "facts_of", "facts_of_claim", "judge",
    "verdict_of",
]  # fmt: skip
