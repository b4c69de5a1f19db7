"""Wrong configuration is told by the name of the option, when the object is made."""


def require(option: str, fits: object, wanted: str) -> None:
    """Refuse a value that does not fit.

    Raises:
        ValueError: with the option's name and what is wanted; not with the value, which may be a secret.
    """
    if not fits:
        msg = f"{option}: must be {wanted}"
        raise ValueError(msg)
