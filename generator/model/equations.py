"""One step of an LSTM layer in plain NumPy, to be read beside a paper; `backends.cell` is the fast one.

    i = σ(W_i x + U_i h + b_i)    input gate: how much is written        c = f·c + i·g     kept and written
    f = σ(W_f x + U_f h + b_f)    forget gate: how much is kept          h = o·tanh(c)     let out
    g = tanh(W_g x + U_g h + b_g) candidate: what is written
    o = σ(W_o x + U_o h + b_o)    output gate: how much is let out

Hochreiter and Schmidhuber (1997), with the forget gate of Gers, Schmidhuber and Cummins (2000).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]


def lstm_cell(x: Array, h: Array, c: Array, w: Array, u: Array, b: Array) -> tuple[Array, ...]:
    """i, f, g, o, and the new c and h, each (…, units).

    Args:
        x: what the layer below says, (…, inputs).
        h, c: of the step before, (…, units).
        w, u, b: `weight_ih`, `weight_hh` and the sum of both biases in torch's order i, f, g, o: (4·units, inputs),
            (4·units, units) and (4·units,).
    """
    i, f, g, o = np.split(x @ w.T + h @ u.T + b, 4, axis=-1)
    i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
    g = np.tanh(g)
    c = f * c + i * g
    h = o * np.tanh(c)
    return i, f, g, o, c, h
