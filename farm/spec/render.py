"""What the user asks for: text in, a frozen model out.

`RenderSpec` is what `farm render` takes on the command line or from a YAML file, without anything that
concerns the machine it runs on (workers, address, job directory): two renders of one spec have the same frames.
`load_spec` reads YAML, `build_spec` validates a mapping, and both raise UsageError with one line that
names the field as it is written: `styles[1].weight: must be greater than 0`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_serializer, field_validator, model_validator

from farm.errors import UsageError
from farm.spec.base import Model, from_text
from farm.spec.choices import Device, FlowMethod, HdrPolicy, InterlacedPolicy, Method, Repaint
from farm.spec.frames import FrameRange
from farm.spec.keys import Key, in_order, listed
from farm.spec.paint import PaintSpec
from farm.spec.timeline import Timeline
from farm.spec.units import parse_duration


class Iterations(Model):
    """Optimiser steps for a frame that starts from nothing, and for one that starts from its warped neighbour."""

    first: int = Field(
        default=200, ge=0, le=100_000, description="Optimiser steps of a frame that starts without an earlier one."
    )
    next: int = Field(
        default=50, ge=0, le=100_000, description="Optimiser steps of a frame that starts from an earlier painted one."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        numbers = [part.strip() for part in value.split(",")]
        if len(numbers) > 2 or not all(number.isdigit() for number in numbers):
            raise ValueError("write it as FIRST,NEXT, for example 200,50")
        return {"first": int(numbers[0]), "next": int(numbers[-1])}


class EncodeSettings(Model):
    """How the finished film is coded, in ffmpeg's names. `crf` is ignored by prores_ks and ffv1."""

    codec: str = Field(default="libx264", description="Video codec of the film, by ffmpeg's name.")
    crf: int = Field(
        default=16,
        ge=0,
        le=63,
        description="Quality of the film's coding: lower values look better and make a larger file.",
    )
    pixel_format: str = Field(default="yuv420p", description="Pixel format of the film, by ffmpeg's name.")
    preset: str | None = Field(
        default=None,
        description="Speed of the encoder, by ffmpeg's name; if left out, medium, or veryfast for method instant.",
    )
    audio: str = Field(
        default="copy",
        pattern=r"^(copy|encode|none|[A-Za-z0-9]{1,8}(,[A-Za-z0-9]{1,8})*)$",
        description="Sound of the film: copy keeps every track, encoded only where the kind of film cannot carry it; "
        "encode encodes every track; none has no sound; TRACKS are numbers, counted from 1, or languages, as farm plan "
        "lists them: 1,3 or eng.",
    )
    subtitles: str = Field(
        default="copy",
        pattern=r"^(copy|none|[A-Za-z0-9]{1,8}(,[A-Za-z0-9]{1,8})*)$",
        description="Subtitles of the film: copy keeps every track that the kind of film can carry; none has none; "
        "TRACKS are numbers or languages, as for the sound.",
    )

    @field_validator("audio", "subtitles", mode="before")
    @classmethod
    def _tracks_to_text(cls, value: Any) -> Any:
        """YAML reads `1` as a number, and `[1, 3]` as a list."""
        parts = value if isinstance(value, list | tuple) else [value]
        numbers = all(isinstance(part, int | str) and not isinstance(part, bool) for part in parts)
        return ",".join(str(part).replace(" ", "") for part in parts) if parts and numbers else value


JOIN_ONLY = ("output", "encode.audio", "encode.subtitles")
"""Fields that concern nothing but the film that is joined at the end: they may change when its frames are painted."""


FIXED_CHUNK = 48
"""Length of a chunk where none is given and the film depends on it, so that it is not chosen: with `chunk_start:
scratch` and `sweep: alternating`.
"""


class RenderSpec(PaintSpec):
    """A render: a video, one or more styles, an output, and how to get from one to the other."""

    version: Literal[1] = Field(default=1, description="Version of this form of a spec.")
    video: str = Field(min_length=1, description="Film to repaint.")
    output: str = Field(min_length=1, description="Film to write, to a path or s3://: .mp4, .mov, .mkv or .webm.")
    frames: FrameRange | None = Field(
        default=None, description="Render only the frames A to B, both included, counted from 0; if left out, all."
    )
    method: Method = Field(
        default="optimize",
        description="How frames are painted: optimize improves each frame step by step, instant uses a trained "
        "network, keys carries painted keyframes through the film, steady takes frames from a film that is painted "
        "already and makes it steady, identity copies frames unpainted to test a pipeline; if left out where keys are "
        "given and no style, keys.",
    )
    network: str | None = Field(
        default=None,
        min_length=1,
        description="Trained network of method instant, a file of farm train; if left out, one is trained for the "
        "style first.",
    )
    train_budget: float | None = Field(
        default=None,
        gt=0,
        description="How long method instant trains a network where none is named, in seconds or as 10m; if left out, "
        "10m.",
    )
    keys: tuple[Key, ...] = Field(
        default=(),
        description="Painted keyframe: the film shows this picture at this frame, and its paint is carried into the "
        "frames around it.",
    )
    resize_keys: bool = Field(
        default=False, description="Resize the pictures of keys to the frames' size, if they have another."
    )
    timeline: Timeline | None = Field(
        default=None,
        description="Style over time: points of the film with styles, weights and stroke scale, between which they go "
        "over; and shots with styles of their own. On the command line, a YAML file.",
    )
    painted: str | None = Field(
        default=None,
        min_length=1,
        description="Film, or folder of numbered pictures, that shows the video painted frame by frame; method steady "
        "makes it steady.",
    )
    strength: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="How far method steady holds colours and strokes from frame to frame: 0 leaves the painted film as "
        "it is, 1 is steadiest.",
    )
    iterations: Iterations = Field(
        default=Iterations(),
        description="Optimiser steps of a frame that starts without an earlier one, and of one that starts from its "
        "painted neighbour.",
    )
    passes: int = Field(
        default=5,
        ge=1,
        le=100,
        description="Sweeps over the film: 1 paints the frames in sequence only, later passes tie each frame to both "
        "neighbours.",
    )
    chunk_frames: int | None = Field(
        default=None,
        ge=2,
        description="Length of a chunk: the most frames that one worker renders in sequence. If left out, it is chosen "
        "from the frames and the workers, 48 at most where no pace is known. The film is the same.",
    )
    overlap: int = Field(
        default=16,
        ge=0,
        description="Frames shared by two neighbouring chunks where each starts from scratch, to hide the seam.",
    )
    chunk_start: Literal["relay", "scratch"] = Field(
        default="relay",
        description="Whether a chunk goes on from the last frame of the one before (relay) or starts anew (scratch), "
        "which is for comparison only.",
    )
    sweep: Literal["two-sided", "alternating"] = Field(
        default="two-sided",
        description="Whether later passes tie a frame to both neighbours at once, or to one at a time in alternating "
        "directions as Ruder 2016 does.",
    )
    blend: float = Field(
        default=1.0, ge=0, description="How strongly later passes draw a frame towards its neighbours; 0 does not."
    )
    follow_change: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="How far the paint takes on what changes in the picture beyond its motion, such as a head that "
        "turns; lower values flicker less there, 0 keeps old shapes.",
    )
    repaint: Repaint = Field(
        default="changed",
        description="Whether a frame's steps are taken mostly where the film changes, the first few over the whole "
        "picture where the camera moves (changed), or all of them over the whole picture, which takes longer "
        "(everywhere).",
    )
    flow: FlowMethod = Field(default="dis", description="Estimator of the optical flow, the motion between frames.")
    flow_weights: str | None = Field(default=None, description="State dict file of the network of flow raft.")
    flow_dir: str | None = Field(
        default=None,
        description="Folder of flow files to use instead of an estimator: forward_1_2.flo, backward_2_1.flo, and so "
        "on.",
    )
    long_term: tuple[int, ...] = Field(
        default=(10, 20, 40),
        description="How many frames to look back, beside the last one, for parts of the picture that were hidden "
        "since.",
    )
    device: Device = Field(
        default="auto",
        description="What paints: gpu gives each worker a GPU, cpu gives none a GPU, auto takes GPUs where the machine "
        "or the cluster has one, or the cluster's autoscaler could start one. A job may be resumed with "
        "another and --mixed.",
    )
    allow_truncated: bool = Field(
        default=False, description="Render the frames that decode of a broken or incomplete film."
    )
    hdr: HdrPolicy = Field(
        default="tonemap",
        description="What becomes of an HLG or PQ film: tonemap converts it to BT.709 as an ordinary screen shows it, "
        "keep paints its values as they are, refuse stops.",
    )
    interlaced: InterlacedPolicy = Field(
        default="deinterlace",
        description="What becomes of an interlaced film: deinterlace makes one picture of both fields, keep paints "
        "both fields as they are, refuse stops.",
    )
    encode: EncodeSettings = Field(default=EncodeSettings(), description="How the finished film is coded.")

    @model_validator(mode="before")
    @classmethod
    def _keys_alone_are_a_method(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("keys") and not any(map(value.get, ("styles", "timeline", "method"))):
            return {**value, "method": "keys"}
        return value

    @field_validator("keys", mode="before")
    @classmethod
    def _keys_to_list(cls, value: Any) -> Any:
        return listed(value)

    @field_validator("keys")
    @classmethod
    def _keys_in_order(cls, value: tuple[Key, ...]) -> tuple[Key, ...]:
        return in_order(value)

    @field_validator("train_budget", mode="before")
    @classmethod
    def _budget_from_text(cls, value: Any) -> Any:
        return from_text(value, parse_duration)

    @property
    def as_stored(self) -> frozenset[str]:
        """Names of the fields (`hdr`, `interlaced`) that tell the reader to leave frames as they are in the file."""
        return frozenset(name for name in ("hdr", "interlaced") if getattr(self, name) == "keep")

    @field_validator("frames", mode="before")
    @classmethod
    def _frames_from_text(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str):
            try:
                return FrameRange.parse(value)
            except UsageError as error:
                raise ValueError(str(error)) from error
        return value

    @field_serializer("frames")
    def _frames_to_text(self, value: FrameRange | None) -> str | None:
        return None if value is None else str(value)

    @field_validator("long_term", mode="before")
    @classmethod
    def _long_term_from_text(cls, value: Any) -> Any:
        """`10,20,40`, or `none`."""
        if not isinstance(value, str):
            return value
        return [] if value.strip() == "none" else [part.strip() for part in value.split(",")]

    @field_validator("long_term")
    @classmethod
    def _long_term_ascends(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(distance < 2 for distance in value) or list(value) != sorted(set(value)):
            raise ValueError("give distances of 2 frames or more, ascending, for example 10,20,40")
        return value

    @model_validator(mode="after")
    def _fields_agree(self) -> RenderSpec:
        if self.method == "instant":
            self._suits_a_network()
        elif self.network or self.train_budget:
            raise ValueError("a network paints with method instant; add --method instant")
        if self.method == "steady":
            self._suits_a_painted_film()
        elif self.painted:
            raise ValueError("a painted film is made steady with method steady; add --method steady")
        styled = self.styles or (self.timeline is not None and self.timeline.styles_everywhere)
        if self.method == "optimize" and not styled:
            raise ValueError("no style is given; add --style PICTURE")
        self._keys_can_be_held()
        if self.timeline is not None:
            self._suits_a_timeline(self.timeline)
        longest = self.chunk_frames or FIXED_CHUNK
        if self.chunk_start == "scratch" and self.overlap >= longest:
            raise ValueError(f"overlap {self.overlap} must be shorter than a chunk ({longest} frames)")
        if self.flow == "raft" and not self.flow_weights:
            raise ValueError("flow raft needs its weights; add --flow-weights FILE, or choose --flow dis")
        return self

    @property
    def in_sequence(self) -> bool:
        """Whether frames are made from painted frames around them."""
        return self.method in ("optimize", "keys", "steady")

    def _keys_can_be_held(self) -> None:
        if self.keys and self.method not in ("optimize", "keys"):
            raise ValueError(f"method {self.method} paints without keys; leave out --key, or --method")
        if self.keys and self.chunk_start == "scratch":
            raise ValueError("keys need chunks that go on from one another; leave out chunk_start: scratch")
        if self.method != "keys":
            return
        if not self.keys:
            raise ValueError("method keys needs painted keyframes; add --key FRAME=PICTURE")
        if self.styles or any(region.styles for region in self.regions):
            raise ValueError("method keys has its style from the keys; leave out --style, or --method keys")
        if self.color != "none":
            raise ValueError("method keys has its colours from the keys; leave out --color")
        if self.sweep != "two-sided":
            raise ValueError("method keys has no alternating passes; leave out sweep: alternating")

    def _suits_a_timeline(self, timeline: Timeline) -> None:
        if self.method != "optimize":
            raise ValueError(
                f"method {self.method} has one style for the whole film; leave out --timeline, or --method"
            )
        for name, setting in timeline.settings.items():
            for number in setting.regions:
                if not 1 <= number <= len(self.regions):
                    raise ValueError(f"{name}: there is no region {number}; the spec has {len(self.regions)}")
        if timeline.fades and (self.passes == 1 or self.sweep != "two-sided"):
            raise ValueError(
                "a timeline with none needs two-sided passes, the last of which shows the photograph; leave out "
                "--passes 1 and sweep: alternating"
            )

    def _suits_a_painted_film(self) -> None:
        if not self.painted:
            raise ValueError("method steady needs a painted film; add --painted FILM, or use farm steady")
        if self.styles or self.regions or self.color != "none":
            raise ValueError("the painted film has its style already; leave out --style, --region and --color")
        if self.chunk_start != "relay" or self.sweep != "two-sided":
            raise ValueError("method steady goes on from chunk to chunk; leave out chunk_start and sweep")

    def _suits_a_network(self) -> None:
        if not self.network and not self.styles:
            raise ValueError("method instant needs --network FILE (farm train makes one), or --style to train one")
        # one that was trained for this film stands beside the style and the budget that it comes from
        if self.network and self.styles and not self.train_budget:
            raise ValueError("the network has its style already; leave out --style")
        if any(region.styles for region in self.regions):
            raise ValueError("method instant has one style; a region can only be none, which keeps the photograph")
