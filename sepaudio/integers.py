"""Float samples as the integer encodings of audio files keep them."""

import re
from typing import Any

import numpy as np
import numpy.typing as npt


def steps(x: npt.NDArray[Any], subtype: str) -> npt.NDArray[Any]:
    """Round to an integer encoding's steps, as int32 with the value in the upper bits.

    libsndfile would scale by 32767 and cut, while it reads with 32768: every copy a little lower.

    Args:
        x: samples within -1..1.
        subtype: encoding in libsndfile's words; one of floats gives x back.
    """
    bits = re.fullmatch(r"(?:PCM|ALAC)_[US]?(\d+)", subtype)
    if bits is None:
        return x
    top = 2.0 ** (int(bits[1]) - 1)
    whole = np.clip(np.rint(x.astype(np.float64) * top), -top, top - 1)
    return (whole * (2.0**31 / top)).astype(np.int32)
