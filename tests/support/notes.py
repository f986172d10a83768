"""Stamps of recordings that do not exist, as `batch.notes.stamp` makes them."""


def stamps(*names: str, by: str = "me", size: int = 9, folder: str = "/in") -> list[dict]:
    """One for each name."""
    return [{"input": name, "path": f"{folder}/{name}", "size": size, "mtime_ns": 5, "with": by} for name in names]
