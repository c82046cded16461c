"""The live picture in a window of its own, until it is closed: tkinter, which comes with most Pythons."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from farm.errors import UsageError


class LiveWindow:
    """For the main thread. Raises UsageError where there is no display, or no tkinter."""

    def __init__(self, title: str) -> None:
        try:
            import tkinter
        except ImportError:
            raise UsageError(
                "this Python has no tkinter, so there is no window", "leave out --window: a page"
            ) from None
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise UsageError(f"no window can be opened ({error})", "leave out --window: a page in a browser") from None
        self._root.title(title)
        self._label = tkinter.Label(self._root, background="black")
        self._label.pack(expand=True, fill="both")
        self._open = True
        self._root.protocol("WM_DELETE_WINDOW", self._closed)
        self._shown: Any = None

    def present(self, picture: NDArray[np.uint8], due: float) -> bool:
        """False once the window was closed."""
        from PIL import ImageTk

        if self._open:
            # tkinter keeps no reference of its own to what a label shows
            self._shown = ImageTk.PhotoImage(Image.fromarray(picture))
            self._label.configure(image=self._shown)
            self._root.update()
        return self._open

    def close(self) -> None:
        if self._open:
            self._closed()

    def _closed(self) -> None:
        self._open = False
        self._root.destroy()
