"""The sink that shows the live picture in a window, until that is closed. It uses tkinter, which most Pythons have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from farm.errors import UsageError


class LiveWindow:
    """A window with one picture. It belongs to the main thread."""

    def __init__(self, title: str) -> None:
        """Open the window. Raises UsageError where there is no display, or no tkinter."""
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
        """Show `picture`, (H, W, 3) uint8 RGB, at once. Returns False once the window was closed."""
        from PIL import ImageTk

        if self._open:
            # tkinter keeps no reference to the picture of a label, so this object has to.
            self._shown = ImageTk.PhotoImage(Image.fromarray(picture))
            self._label.configure(image=self._shown)
            self._root.update()
        return self._open

    def close(self) -> None:
        """Close the window, if the user has not done so."""
        if self._open:
            self._closed()

    def _closed(self) -> None:
        self._open = False
        self._root.destroy()
