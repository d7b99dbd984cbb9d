"""What a process wants of a store when it opens it."""

from __future__ import annotations

from enum import Enum


class Access(Enum):
    """What a process wants of a store.

    ========  ==============================================================================
    READ      only to read: read permission is enough, and nothing is changed or created
    WRITE     to read and write a store that exists
    CREATE    to read and write; a store that does not exist is created
    ========  ==============================================================================
    """

    READ = 1
    WRITE = 2
    CREATE = 3
