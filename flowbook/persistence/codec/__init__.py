"""The codec: values to typed JSON and back, of the same types and equal, executing and importing nothing.

Plain values (None, bool, int, float, str, lists, dicts with str keys) are plain JSON. All others are objects
with one key that begins with ``!``, their tag: ``{"!tuple":[1,2]}``. Types are told exactly: an instance of a
subclass is refused, never stored as its base. An exception is stored as its `Failure`, and comes back as one.

What is encoded is a tree: an object met twice is stored twice. Texts are one line of valid Unicode.
"""

from flowbook.persistence.codec.decoding import decode, decode_document
from flowbook.persistence.codec.encoding import MAX_DEPTH, encode
from flowbook.persistence.codec.registration import register_type

CODEC_VERSION = 1
"""Raised when the stored form of any type changes; older forms go on being read."""

__all__ = ["CODEC_VERSION", "MAX_DEPTH", "decode", "decode_document", "encode", "register_type"]
