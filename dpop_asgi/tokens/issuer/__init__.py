"""An issuer's keys: where they are, and which of them are current."""
