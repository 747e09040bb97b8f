"""Conv-TasNet as asteroid saves and publishes it: a dict of model_name, model_args, state_dict.

Its "cLN" is our `channel`, its "cgLN" our `cumulative`. A causal model with any other norm is one
with "cLN", which asteroid puts in its place when it builds.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from ..layers import TCNCfg
from ..models.convtasnet import ConvTasNet, ConvTasNetCfg
from .names import renamed

KEYS = ("model_name", "model_args", "state_dict")
DEFAULTS: dict[str, Any] = {  # of the class there; what a pack leaves out is this
    "fb_name": "free",
    "n_filters": 512,
    "kernel_size": 16,
    "stride": 8,
    "sample_rate": None,  # not always stored, and 8000 Hz there: to be said
    "in_chan": None,
    "out_chan": None,
    "n_src": None,
    "n_blocks": 8,
    "n_repeats": 3,
    "bn_chan": 128,
    "hid_chan": 512,
    "skip_chan": 128,
    "conv_kernel_size": 3,
    "norm_type": "gLN",
    "mask_act": "sigmoid",
    "causal": False,
    "encoder_activation": None,
}
SIZES = (
    *("n_src", "n_filters", "kernel_size", "n_blocks", "n_repeats"),
    *("bn_chan", "hid_chan", "conv_kernel_size"),
)
NORMS = {
    **{"gLN": "global", "GlobLN": "global", "cLN": "channel", "ChanLN": "channel"},
    **{"cgLN": "cumulative", "CumLN": "cumulative", "bN": "batch", "BatchNorm": "batch"},
}
CAUSAL_NORMS = ("cLN", "cgLN")
MASKS = {
    **{"sigmoid": "sigmoid", "relu": "relu", "softmax": "softmax", "tanh": "tanh"},
    "linear": "none",
}
ACTS = {
    **{name: name for name in ("relu", "prelu", "leaky_relu", "sigmoid", "tanh", "gelu", "swish")},
    "linear": "none",
}
GREEK = {"weight": "gamma", "bias": "beta"}
PLACES = {
    "encoder.filters": "encoder.filterbank._filters",
    "decoder.filters": "decoder.filterbank._filters",
    "encoder.act": "enc_activation",
    "norm": "masker.bottleneck.0",
    "bottleneck": "masker.bottleneck.1",
    "mask_act": "masker.mask_net.0",
    "mask_conv": "masker.mask_net.1",
}
BLOCK = {
    "inputs": "shared_block.0",
    "acts_in": "shared_block.1",
    "norms_in": "shared_block.2",
    "depthwise": "shared_block.3",
    "acts_out": "shared_block.4",
    "norms_out": "shared_block.5",
    "residuals": "res_conv",
    "skips": "skip_conv",
}


def their_name(name: str, tcn: TCNCfg) -> str:
    """asteroid's name of a weight of ours.

    >>> their_name("tcn.norms_in.3.weight", TCNCfg())
    'masker.TCN.3.shared_block.2.gamma'
    """
    if name in PLACES:
        return PLACES[name]
    place, _, leaf = name.rpartition(".")
    if "norm" in place and tcn.norm != "batch":
        leaf = GREEK[leaf]
    if place in PLACES:
        return f"{PLACES[place]}.{leaf}"
    _, group, number = place.split(".")
    chopped = ".0" if group == "depthwise" and tcn.causal else ""  # a convolution, then a chop
    return f"masker.TCN.{number}.{BLOCK[group]}{chopped}.{leaf}"


def from_asteroid(pack: dict[str, Any], *, sample_rate: int | None = None) -> nn.Module:
    """asteroid's ConvTasNet as ours.

    Args:
        pack: what asteroid's `serialize` gives, and its published files hold.
        sample_rate: [Hz]; needed where the pack has none.

    Raises:
        ValueError: it is no such pack, or says something that ours cannot do.
    """
    missing = [key for key in KEYS if key not in pack]
    if missing:
        raise ValueError(
            f"no {', '.join(missing)} in it: expected a dict with {', '.join(KEYS)}, "
            "as model.serialize() of asteroid gives"
        )
    if pack["model_name"] != "ConvTasNet":
        raise ValueError(f"model_name={pack['model_name']!r}: expected 'ConvTasNet'")
    for key in ("model_args", "state_dict"):
        if not isinstance(pack[key], dict):
            raise ValueError(f"{key} is a {type(pack[key]).__name__}: expected a dict")
    model = ConvTasNet(_cfg(pack["model_args"], sample_rate))
    expected = model.state_dict()
    theirs = {name: their_name(name, model.cfg.tcn) for name in expected}
    model.load_state_dict(renamed(pack["state_dict"], expected, theirs))
    return model


def _cfg(given: dict[str, Any], sample_rate: int | None) -> ConvTasNetCfg:
    for key in given:
        if key not in DEFAULTS:
            known = ", ".join(DEFAULTS)
            raise ValueError(f"model_args has {key!r}: expected none but {known}")
    args = {**DEFAULTS, **given}
    for key in SIZES:
        if not isinstance(args[key], int):
            raise ValueError(f"{key}={args[key]!r}: expected a whole number")
    rate = args["sample_rate"] or sample_rate
    if rate is None:
        raise ValueError("sample_rate is not in the file: expected Hz; say sample_rate=8000 or so")
    if sample_rate is not None and rate != sample_rate:
        raise ValueError(f"sample_rate={sample_rate}: the file says {rate}; leave it out")
    if str(args["fb_name"]).lower() not in ("free", "freefb"):
        raise ValueError(f"fb_name={args['fb_name']!r}: expected 'free', filters that were learned")
    n_filters = args["n_filters"]
    for key in ("in_chan", "out_chan"):
        if args[key] not in (None, n_filters):
            raise ValueError(f"{key}={args[key]!r}: expected n_filters={n_filters} or None")
    causal, norm = bool(args["causal"]), args["norm_type"]
    if causal and norm not in CAUSAL_NORMS:
        norm = "cLN"
    return ConvTasNetCfg(
        n_src=args["n_src"],
        sample_rate=round(rate),
        n_filters=n_filters,
        kernel_size=args["kernel_size"],
        stride=args["stride"] or args["kernel_size"] // 2,
        pad="drop",
        encoder_act=_ours("encoder_activation", args["encoder_activation"] or "linear", ACTS),
        tcn=TCNCfg(
            bottleneck=args["bn_chan"],
            hidden=args["hid_chan"],
            skip=args["skip_chan"] or 0,
            conv_kernel=args["conv_kernel_size"],
            n_blocks=args["n_blocks"],
            n_repeats=args["n_repeats"],
            norm=_ours("norm_type", norm, NORMS),
            causal=causal,
        ),
        mask=_ours("mask_act", args["mask_act"], MASKS),
    )


def _ours(key: str, value: Any, table: dict[str, str]) -> str:
    if value not in table:
        raise ValueError(f"{key}={value!r}: expected one of {', '.join(table)}")
    return table[value]
