"""Child process that turns bytes into Markdown under limits. Knows the pipe and the limits; knows no file and no network.

It says READY once its libraries are loaded. Each request is a JSON line {name, size, options} followed by the bytes; each
reply is 8 bytes of length and JSON: {text, title, format, pages, skipped, memory} or {reason, detail, memory}.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import select
import signal
import sys
import threading
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Final

from groundtune.ingest.convert import convert
from groundtune.ingest.converted import Options, Refused

READY: Final = b"+"


def serve(requests: BinaryIO, replies: BinaryIO, *, seconds: int) -> None:
    """Answer until the parent closes the pipe."""
    replies.write(READY)
    replies.flush()
    while header := requests.readline():
        request = json.loads(header)
        data = requests.read(request["size"])
        signal.alarm(seconds + 5)  # an orphan ends too
        reply = _answer(data, request["name"], request["options"])
        del data
        signal.alarm(0)
        reply["memory"] = peak()
        payload = json.dumps(reply).encode()
        replies.write(len(payload).to_bytes(8, "big") + payload)
        replies.flush()


def _answer(data: bytes, name: str, options: dict[str, Any]) -> dict[str, Any]:
    listed: dict[str, Any] = {name: tuple(options.pop(name)) for name in ("languages", "passwords")}
    chosen = Options(**options, **listed)
    try:
        converted = convert(data, name=name, options=chosen)
        if len(converted.text) > chosen.output:
            raise Refused("too large", f"its text is {len(converted.text):,} characters long; the limit is {chosen.output:,}")
        return asdict(converted)
    except Refused as refused:
        return {"reason": refused.reason, "detail": refused.detail}
    except MemoryError:
        return {"reason": "out of memory", "detail": "the parser ran out of memory"}
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return {"reason": "no space", "detail": str(error)}
    except RecursionError:
        return {"reason": "too deep", "detail": "its structure is nested too deeply for the parser"}


def end_with_parent() -> None:
    """End when the other end of standard input is closed, which the death of the parent does, even by `kill -9`."""
    hung_up = select.poll()
    hung_up.register(0, 0)  # errors and hang-ups are always told
    hung_up.poll()
    os._exit(1)


def peak() -> int:
    """Most kilobytes that this process held. `ru_maxrss` is the last resort: it starts at what the parent held at the time."""
    with contextlib.suppress(OSError), Path("/proc/self/status").open(encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    import_module("kreuzberg")  # before it says that it is ready
    seconds, memory = (int(value) for value in sys.argv[1:3])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    written = 64 << 20  # a mailbox is parsed from a file
    for kind, value in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, written)):
        with contextlib.suppress(ValueError, OSError):  # a stricter limit is already in force
            resource.setrlimit(kind, (value, value))
    threading.Thread(target=end_with_parent, daemon=True).start()
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what native code prints must not enter the protocol
    serve(sys.stdin.buffer, replies, seconds=seconds)


if __name__ == "__main__":
    main()
