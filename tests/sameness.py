"""Whether a value that was read is the one that was written."""

import numpy as np


def same(got, wanted):
    """Equal, and of one type; NaN equals itself, -0.0 is not 0.0, and arrays agree in dtype, shape, mask and every byte."""
    if isinstance(wanted, np.ma.MaskedArray):
        masks = np.ma.getmaskarray(wanted)
        agree = isinstance(got, np.ma.MaskedArray) and (np.ma.getmaskarray(got) == masks).all()
        return agree and same(got.data[~masks], wanted.data[~masks])
    if isinstance(wanted, np.ndarray):
        agree = type(got) is np.ndarray and (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
        return agree and got.tobytes() == wanted.tobytes()
    if type(got) is not type(wanted):
        return False
    if isinstance(wanted, dict):
        return list(got) == list(wanted) and all(same(got[key], wanted[key]) for key in wanted)
    if isinstance(wanted, (list, tuple)):
        return len(got) == len(wanted) and all(map(same, got, wanted))
    return repr(got) == repr(wanted)
