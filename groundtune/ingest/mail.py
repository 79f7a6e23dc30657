"""Mail to Markdown: messages with their attachments, and mailboxes. Knows RFC 5322 and mbox; reads no attachment itself."""

from __future__ import annotations

import email
import email.policy
import mailbox
import tempfile
from email.message import EmailMessage, Message
from functools import partial
from pathlib import Path

from groundtune.ingest.containers import Budget, Inner, attempt, lowered, sections
from groundtune.ingest.converted import Converted, Refused

_HEADERS = ("From", "To", "Cc", "Date")


def read_message(data: bytes, *, budget: Budget, inner: Inner) -> Converted:
    """One message: subject, sender, recipients, date, text, and a section an attachment. Raises Refused."""
    return _message(email.message_from_bytes(data, policy=email.policy.default), budget=budget, inner=inner)


def read_mailbox(data: bytes, *, budget: Budget, inner: Inner) -> Converted:
    """An mbox file: a section a message, headed by its subject. Raises Refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mbox"
        path.write_bytes(data)
        box = mailbox.mbox(path, factory=None, create=False)
        try:
            texts: list[str] = []
            skipped: list[tuple[str, str, str]] = []
            for key in box.iterkeys():
                raw = box.get_bytes(key)
                budget.spend(len(raw))
                message = email.message_from_bytes(raw, policy=email.policy.default)
                read = _message(message, budget=budget, inner=inner)
                texts.append(read.text)
                within = read.title or "message"
                skipped.extend((f"{within}/{name}", reason, detail) for name, reason, detail in read.skipped)
        finally:
            box.close()
    if not texts:
        raise Refused("empty", "it holds no messages")
    return Converted("\n\n".join(texts), "mbox", skipped=tuple(skipped))


def _message(message: EmailMessage, *, budget: Budget, inner: Inner) -> Converted:
    subject = _header(message, "Subject")
    lines = [f"{name}: {value}" for name in _HEADERS if (value := _header(message, name))]
    skipped: list[tuple[str, str, str]] = []
    body = message.get_body(preferencelist=("plain", "html"))
    text = ""
    if isinstance(body, EmailMessage):
        read = attempt(lambda: _text(body), "body.html" if body.get_content_subtype() == "html" else "body.txt", inner)
        if isinstance(read, Refused):
            skipped.append(("text", read.reason, read.detail))
        else:
            text = lowered(read.text.strip())
    parts: list[tuple[str, Converted | Refused]] = []
    for number, part in enumerate(message.iter_attachments(), start=1):
        name = part.get_filename() or f"attachment {number}"
        parts.append((name, attempt(partial(_attached, part, budget), name, inner)))
    attached, more = sections(parts)
    whole = [f"# {subject or 'No subject'}", "\n".join(lines), text, lowered(attached)]
    return Converted("\n\n".join(piece for piece in whole if piece), "eml", title=subject, skipped=(*skipped, *more))


def _header(message: EmailMessage, name: str) -> str:
    """In one line; empty where it is absent or cannot be understood."""
    try:
        return " ".join(str(message.get(name, "")).split())
    except (ValueError, TypeError, IndexError, AttributeError):  # the parser of the standard library gives up in many ways
        return ""


def _text(body: EmailMessage) -> bytes:
    """The body's text in UTF-8."""
    try:
        return str(body.get_content()).encode("utf-8", errors="replace")
    except (LookupError, ValueError):  # an encoding that does not exist
        payload = body.get_payload(decode=True)
        return payload if isinstance(payload, bytes) else b""


def _attached(part: EmailMessage, budget: Budget) -> bytes:
    if part.get_content_maintype() == "message":
        inside = part.get_payload()
        message = inside[0] if isinstance(inside, list) and inside else None
        data = message.as_bytes() if isinstance(message, Message) else b""
    else:
        payload = part.get_payload(decode=True)
        data = payload if isinstance(payload, bytes) else b""
    budget.spend(len(data))
    return data
