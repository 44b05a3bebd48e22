"""What went wrong in another library, in one line."""


def reason(error: Exception) -> str:
    """The first line of what an error says, without its full stop; its kind where it says nothing.

    >>> reason(ValueError("no such file.\\nPlease see the manual"))
    'no such file'
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".:")
