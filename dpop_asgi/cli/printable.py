"""Text of others, for the terminal."""


def printable(text: str) -> str:
    """Without control characters, which would reach the terminal."""
    return text if text.isprintable() else "".join(each if each.isprintable() else "?" for each in text)
