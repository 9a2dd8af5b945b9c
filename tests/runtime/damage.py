"""Damage as a disk does it, for tests of what is believed."""

from pathlib import Path


def damages(whole: bytes) -> list[bytes]:
    """Return a file with every byte's every third bit flipped, with every digit another one, and cut."""
    flips = [
        whole[:i] + bytes([whole[i] ^ (1 << bit)]) + whole[i + 1 :] for i in range(len(whole)) for bit in range(0, 8, 3)
    ]
    digits = [
        whole[:i] + str((int(whole[i : i + 1]) + 1) % 10).encode() + whole[i + 1 :]
        for i in range(len(whole))
        if whole[i : i + 1].isdigit()
    ]
    return [*flips, *digits, whole[: len(whole) // 2], b""]


def write(path: Path, content: bytes) -> None:
    """Put other bytes in the place of a file, as a disk may; what is linked to the same bytes keeps them."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
