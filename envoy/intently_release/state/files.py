"""Replaces a file whole: who reads it, even after a power cut, finds the old text or the new one."""

import os
from pathlib import Path


def replace_file(path: Path, text: str, mode: int = 0o666) -> None:
    """Writes beside the file, makes it durable, and renames. One writer at a time: a left-over is written over.

    Args:
        path: The file.
        text: What it shall hold.
        mode: Of a new file, as far as the process's umask lets it be.

    Raises:
        OSError: as the operating system has it; the file is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    with open(partial, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
