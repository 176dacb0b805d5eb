"""Secrets: passwords and tokens that a flow needs, and that no record, log or failure may show.

A `Secret` is an input or a result like any other, but it is stored as a reference to where its text lies, or sealed
with a key of the user's. Its text is given by `Secret.reveal` alone, and is masked from then on.
"""

from flowbook.secrets.errors import SecretKeyMissing, SecretMissing
from flowbook.secrets.masking import MASK, masked
from flowbook.secrets.sealing import new_key
from flowbook.secrets.secret import Secret

__all__ = ["MASK", "Secret", "SecretKeyMissing", "SecretMissing", "masked", "new_key"]
