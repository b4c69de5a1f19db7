"""The rules as pure functions: data in, data out; no I/O, no clock, no randomness."""
