"""Changes of the bytes that are sent."""

from collections.abc import Callable

from tests.differential import base64url
from tests.differential.drafts import Draft
from tests.differential.drawn import Drawn

Mutation = Callable[[Drawn, Draft], None]

_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/., \n\x00\x80"


def nothing(drawn: Drawn, draft: Draft) -> None:
    """A correct proof."""


def flip_a_bit(drawn: Drawn, draft: Draft) -> None:
    """Of what one of the three segments stands for, after the signature was made."""
    which, place, bit = drawn.below(3), drawn.below(65536), drawn.below(8)

    def changed(segments: list[bytes]) -> list[bytes]:
        raw = bytearray(base64url.decode(segments[which]))
        raw[place % len(raw)] ^= 1 << bit
        return [*segments[:which], base64url.encode(bytes(raw)), *segments[which + 1 :]]

    draft.segments = changed


def change_a_letter(drawn: Drawn, draft: Draft) -> None:
    """Replace, insert or delete one byte of the value as sent."""
    how, place, letter = drawn.below(3), drawn.below(65536), drawn.pick(_LETTERS)

    def changed(value: bytes) -> list[bytes]:
        at = place % (len(value) + 1)
        return [value[:at] + (b"" if how == 2 else bytes([letter])) + value[at + (how != 1) :]]

    draft.sent = changed


def loose_bits(drawn: Drawn, draft: Draft) -> None:
    """Another last letter that stands for the same bytes, where there is one."""
    which, step = drawn.below(3), 1 + drawn.below(15)
    alphabet = _LETTERS[:64]

    def changed(segments: list[bytes]) -> list[bytes]:
        free = {0: 1, 2: 16, 3: 4}[len(segments[which]) % 4]
        last = alphabet.index(segments[which][-1])
        segment = segments[which][:-1] + alphabet[last ^ step % free : (last ^ step % free) + 1]
        return [*segments[:which], segment, *segments[which + 1 :]]

    draft.segments = changed


def signed_loose_bits(drawn: Drawn, draft: Draft) -> None:
    """The same, but signed as it is sent: by a client whose base64url is sloppy."""
    which, step = drawn.below(2), 1 + drawn.below(15)

    def changed(segments: list[bytes]) -> list[bytes]:
        loosened = Draft(draft.algorithm, draft.request)
        loose_bits(Drawn(bytes([which, step - 1])), loosened)
        segments = loosened.segments(segments)
        return [*segments[:2], base64url.encode(draft.sign(b".".join(segments[:2])))]

    draft.segments = changed


def rearrange_segments(drawn: Drawn, draft: Draft) -> None:
    how = drawn.pick(
        (
            lambda h, p, s: [h, p, s, s],
            lambda h, p, s: [h, p],
            lambda h, p, s: [h, p, b""],
            lambda h, p, s: [p, h, s],
            lambda h, p, s: [h, h, s],
            lambda h, p, s: [h, p + b"=", s],
            lambda h, p, s: [h, p, s + b"=" * (-len(s) % 4)],
            lambda h, p, s: [h + b"==", p, s],
            lambda h, p, s: [h, p + b"\n", s],
            lambda h, p, s: [b" " + h, p, s],
            lambda h, p, s: [h, p, s + b" "],
        )
    )
    draft.segments = lambda segments: how(*segments)


def several_fields(drawn: Drawn, draft: Draft) -> None:
    draft.sent = drawn.pick(
        (
            lambda value: [value, value],
            lambda value: [],
            lambda value: [value + b"," + value],
            lambda value: [value + b", " + value],
            lambda value: [value, b""],
            lambda value: [b"", value],
            lambda value: [value + b","],
        )
    )


TEXT_MUTATIONS: tuple[Mutation, ...] = (
    nothing,
    flip_a_bit,
    change_a_letter,
    loose_bits,
    signed_loose_bits,
    rearrange_segments,
    several_fields,
)
