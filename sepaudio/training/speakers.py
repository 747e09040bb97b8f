"""Where the mixtures of speakers that a run learns from come from: manifests, or fixed lists."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..data.mixing import MixingCfg
from ..data.shelf import check_on_bad


@dataclass(frozen=True, kw_only=True)
class ListsCfg:
    """Fixed mixtures to train on, such as a published set's.

    Attributes:
        files: lists of mixtures (CSV), relative to the recipe; their splits train and valid are
            used. For extractors a row without enrollment gets one of its speakers as target,
            enrolled by another recording of that speaker in the list.
        seconds: of every mixture that are learned from; another stretch in every epoch [s].
        enrollment_seconds: longest enrollment [s]; 0 for the whole recording.
    """

    files: tuple[str, ...] = ()
    seconds: float = 4.0
    enrollment_seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.seconds <= 0 or self.enrollment_seconds < 0:
            raise ValueError(
                f"seconds={self.seconds}, enrollment_seconds={self.enrollment_seconds}: expected "
                "more than 0, and 0 or more"
            )


MIX_ON = ("auto", "cpu", "device")


@dataclass(frozen=True, kw_only=True)
class SpeakersCfg:
    """Where mixtures of speakers come from: either drawn from manifests, or listed.

    Attributes:
        manifests: CSV files with a column `speaker`, relative to the recipe.
        mixing: how their mixtures are drawn; its sample rate is the model's.
        lists: see `ListsCfg`.
        shelf: folder of the decoded recordings, made when it is not there; relative to the
            working folder.
        on_bad: "stop" at a recording that cannot be read, or "skip" it; of lists the mixture that
            needs it, in whose place the next one of the epoch is heard.
        valid_items: mixtures of the valid split that validation hears, always the same.
        presence_manifests: how many of the manifests, the first ones, an extractor's presence is
            calibrated on; 0 for all. Voices of one collection are more alike than those of
            another: take what resembles the recordings to come.
        workers: processes that mix ahead, or draw ahead where mixing is the device's, which with
            CUDA is one at least.
        mix_on: "auto" mixes whole batches on the device where the run learns with CUDA and the
            recordings fit into half of its free memory, else one mixture at a time on the CPU;
            "cpu" and "device" are either of them, with CUDA or without. The draws are the same.
    """

    manifests: tuple[str, ...] = ()
    mixing: MixingCfg = field(default_factory=MixingCfg)
    lists: ListsCfg = field(default_factory=ListsCfg)
    shelf: str = "runs/shelf"
    on_bad: str = "stop"
    valid_items: int = 100
    presence_manifests: int = 0
    workers: int = 0
    mix_on: str = "auto"

    def __post_init__(self) -> None:
        check_on_bad(self.on_bad)
        if self.mix_on not in MIX_ON:
            raise ValueError(f"mix_on={self.mix_on!r}: expected one of {', '.join(MIX_ON)}")
        if self.mix_on == "device" and self.lists.files:
            raise ValueError(
                "mix_on='device' with lists.files: expected auto or cpu, since listed mixtures are "
                "made one at a time"
            )
        if self.manifests and self.lists.files:
            raise ValueError(
                f"manifests={list(self.manifests)} and lists.files={list(self.lists.files)}: "
                "expected one of them; empty the other"
            )
