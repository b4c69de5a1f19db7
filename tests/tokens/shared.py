"""What several files here need."""

import asyncio


async def settled(verify):
    """Wait for a refresh of keys off the path of requests."""
    [source] = verify._sources.values()
    if (fetch := source.fetching.under_way()) is not None:
        await asyncio.wait([fetch])


def changed(said, changes):
    """`said` with other members; `...` stands for none."""
    return {name: value for name, value in {**said, **changes}.items() if value is not ...}
