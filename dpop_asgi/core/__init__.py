"""The rules, pure: data in, data out; no I/O, no clock, no random numbers.

RFC 9449 §4.2, §4.3    proof.py, checks.py, jwk.py; htu.py for item 9
RFC 9449 §6            access_token.py
RFC 9449 §7            credentials.py, challenge.py
RFC 9449 §8, §9        nonce_window.py
RFC 9449 §5, §10       key_binding.py
RFC 6750, RFC 9470     authorization.py, challenge.py
RFC 8725, RFC 8259     strict_json.py, encoding.py

docs/security.md has all checks in their order.
"""
