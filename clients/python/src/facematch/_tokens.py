"""Bearer tokens: constant, from a file, or from a function, asked for each call."""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable

from facematch.errors import UsageError

TokenSource = str | Callable[[], str] | Callable[[], Awaitable[str]] | None


class Token:
    """Gives the token of the next call."""

    def __init__(self, token: TokenSource, token_file: str | os.PathLike[str] | None) -> None:
        if token is not None and token_file is not None:
            raise UsageError("token and token_file exclude each other")
        self._token = token
        self._file = None if token_file is None else os.fspath(token_file)
        if isinstance(token, str):
            _checked(token)

    def __repr__(self) -> str:
        return "Token()" if self.is_set else "None"

    @property
    def is_set(self) -> bool:
        return self._token is not None or self._file is not None

    @property
    def can_change(self) -> bool:
        return self.is_set and not isinstance(self._token, str)

    def read(self) -> str | None:
        """The present token; None if there is none."""
        if self._file is not None:
            return self._from_file(self._file)
        if self._token is None or isinstance(self._token, str):
            return self._token
        given = self._token()
        if inspect.isawaitable(given):
            if inspect.iscoroutine(given):
                given.close()  # Else Python warns that it was never awaited.
            raise UsageError("a coroutine function as token is for AsyncClient")
        return _checked(given)

    async def read_async(self) -> str | None:
        """The same, where the function may be a coroutine function."""
        if self._file is not None or self._token is None or isinstance(self._token, str):
            return self.read()
        given = self._token()
        return _checked(await given if inspect.isawaitable(given) else given)

    @staticmethod
    def _from_file(path: str) -> str:
        try:
            with open(path, encoding="utf-8") as file:
                return _checked(file.read())
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError("can't read the file of the token") from error


def _checked(token: object) -> str:
    """The token without a line break at its end. Errors don't quote it."""
    if not isinstance(token, str):
        raise UsageError("a token is text")
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError("a token is a word of printable ASCII characters")
    return token
