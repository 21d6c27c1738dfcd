"""Who may train on this machine. It takes its CPU and its disk, so by default only who sits at it may."""

from __future__ import annotations

import os
from collections.abc import Mapping

import streamlit as st

SETTING = "CAROUSEL_TRAIN"
"""The environment variable that decides it for everybody: `on` or `off`."""
OF_PROXIES = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
HERE = ("localhost", "127.0.0.1", "[::1]")


def may_train() -> bool:
    """Whether this visitor is shown the Train page."""
    setting = os.environ.get(SETTING, "").strip().lower()
    if setting in ("on", "off"):
        return setting == "on"
    return not setting and st.context.ip_address is None and is_direct(st.context.headers)


def is_direct(headers: Mapping[str, str]) -> bool:
    """Whether a request that comes from this machine is of somebody who sits there, and was not passed on by a proxy
    for somebody else."""
    names = {name.lower(): value for name, value in headers.items()}
    hosts = (names.get("host", "localhost"), names.get("origin", "http://localhost").rpartition("//")[2])
    return not any(name in names for name in OF_PROXIES) and all(
        host.rpartition(":")[0] in HERE or host in HERE for host in hosts
    )
