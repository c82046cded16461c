"""A film painted from painted keyframes alone: no style, no network, no optimiser. Pure: arrays in, arrays out.

    key = Key(number, source, picture)                           a frame that somebody painted
    view = first_view(key)                                       that key, seen from its own frame
    view = follow(view, there, back, content)                    and from the next frame, away from the key
    frame = paint(content, left, right, neighbour, position)     a frame, painted

The interface, for the one who walks through a shot:

- All pictures are RGB uint8 (H, W, 3) of one size. A frame that is a key is the key's picture, and is not painted.
- `left` is the view of the nearest key before the frame in its shot, `right` of the nearest key after it; None where
  there is none, and at least one of them is given. `position` is `(n - left) / (right - left)`, and anything where a
  key is missing.
- `follow` is called once for each frame between the key and the frame, from the key outwards, with the matches between
  that frame and the one before it on this way: `there` leads from the new frame to the one before, `back` the other
  way. For the left key at frame n, `there` is the match n -> n - 1. For the right key it is n -> n + 1.
  A view depends on the source and on flows alone. So a chunk that begins between two keys walks from the key to its
  first frame, some 50 ms for each frame of 256 pixels, and then has what every other chunk has.
- `neighbour` is the frame that the paint of holes is kept from, as it was committed: frame n - 1 where there is a key
  before (it may be the key itself), else frame n + 1; None where that frame is not in the shot. So the relay runs from
  left to right between two keys and beyond the last one, and from right to left only before the first key of a shot.
  No two relays meet between two keys, and one pass is enough. Each interval between two keys is independent.

Modules:

sampling      a picture resampled once
views         maps of positions to a key, and how far they hold
merging       two keys as one picture
synthesis     holes, in the manner of the keys
painting      the frame
"""

from farm.render.keyed.painting import Neighbour, paint
from farm.render.keyed.views import Key, KeyView, first_view, follow

__all__ = ["Key", "KeyView", "Neighbour", "first_view", "follow", "paint"]
