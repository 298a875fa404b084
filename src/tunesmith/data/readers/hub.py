"""Reads data sets of a hub through the ``datasets`` library, and fails quickly and clearly without a network."""

from __future__ import annotations

import os
import queue
import socket
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tunesmith.data.readers.declared_classes import classes_of_feature, named_classes
from tunesmith.data.readers.plain_cells import plain_table, shortest_floats
from tunesmith.data.table import Table
from tunesmith.errors import DataError, MissingExtra

PROBE_SECONDS = 2.0
TRUE = frozenset({"1", "true", "yes", "on"})


def read_hub(name: str) -> dict[str, Table]:
    """Reads the tables of ``hub:NAME`` or ``hub:NAME:CONFIG``, by the data set's own split names.

    Class labels that the hub stores as numbers become their names; its -1 (no label) becomes None. Without a network the
    ``datasets`` library would retry for 23 seconds, so the hub's host is tried first, for two seconds. With HF_HUB_OFFLINE=1
    only the local cache is used. A local folder, which the library takes for NAME, too, is read anew each time: the cache
    of the library knows a folder with a README.md by its name, and would return the rows of earlier files.

    Raises:
        MissingExtra: ``datasets`` is not installed.
        DataError: there is no network, or no such data set or configuration.
    """
    repository, _, config = name.removeprefix("hub:").partition(":")
    if not repository:
        raise DataError.one(name, "A data set's name was expected after hub:.", "Write for instance hub:glue:cola.")
    datasets = import_datasets()
    is_folder = Path(repository).is_dir()
    if not is_folder:
        require_hub(name, "Use a local file")
    mode = "force_redownload" if is_folder else None
    try:
        loaded = datasets.load_dataset(repository, config or None, download_mode=mode)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise DataError.one(name, *explain(error)) from None
    return {str(split): hub_table(f"{name} ({split})", rows) for split, rows in loaded.items()}


def require_hub(name: str, other_way: str) -> None:
    """Raises DataError if the hub's host does not answer and HF_HUB_OFFLINE does not say that the local cache is enough.

    Args:
        other_way: what to do without the hub, as the beginning of a sentence.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in TRUE:
        return
    host, port = hub_address()
    if reason := reach(host, port, PROBE_SECONDS):
        message = f"There is no network: {host}:{port} did not answer ({reason})."
        raise DataError.one(name, message, f"{other_way}, or set HF_HUB_OFFLINE=1 if the data set is in the local cache.")


def import_datasets() -> Any:
    try:
        import datasets
    except ImportError:
        raise MissingExtra.of("datasets", "hub", "Reading hub: data") from None
    return datasets


def explain(error: Exception) -> tuple[str, str]:
    """Turns the library's error into a message and a remedy for the user."""
    text = str(error).strip()
    reason = (text.splitlines()[0] if text else type(error).__name__).rstrip(".")
    message, remedy = f"The data set cannot be loaded: {reason}.", "Check the name, or use a local file."
    if "OfflineModeIsEnabled" in reason or "offline mode" in reason.lower():
        message = "The data set is not in the local cache, and HF_HUB_OFFLINE is set, so it is not downloaded."
    if "OfflineMode" in text or "offline mode" in text.lower():
        remedy = "Unset HF_HUB_OFFLINE on a machine with a network, or use a local file."
    elif "Config name is missing" in text:
        remedy = "Write hub:NAME:CONFIG with one of the configurations."
    return message, remedy


def hub_address() -> tuple[str, int]:
    """Returns the host and port to try: the proxy if one is set, else the hub."""
    from huggingface_hub import constants

    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy") or os.environ.get("ALL_PROXY")
    address = urlsplit(proxy if proxy and "://" in proxy else f"http://{proxy}" if proxy else constants.ENDPOINT)
    return address.hostname or "", address.port or (443 if address.scheme == "https" else 80)


def reach(host: str, port: int, seconds: float) -> str:
    """Tries to open a connection within that time; returns the reason if it fails, else an empty string.

    A name lookup has no time limit of its own, so it runs in a daemon thread that is abandoned after the limit.
    """
    answers: queue.Queue[str] = queue.Queue()

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=seconds).close()
            answers.put("")
        except OSError as error:
            answers.put(error.strerror or str(error))

    threading.Thread(target=connect, daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return f"no answer in {seconds:g} seconds"


def hub_table(source: str, rows: Any) -> Table:
    """Converts one split (a ``datasets.Dataset``) to a table."""
    classes = {name: names for name, feature in rows.features.items() if (names := classes_of_feature(feature))}
    cells = {name: shortest_floats(list(rows[name]), getattr(kind, "dtype", None)) for name, kind in rows.features.items()}
    columns = {name: named_classes(cells[name], classes.get(name, ())) for name in cells}
    return plain_table(Table.whole(source, columns, classes=classes))
