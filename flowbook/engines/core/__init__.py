"""The core: decides, and does nothing else. Messages in, one decision out; no I/O, no time, no threads."""
