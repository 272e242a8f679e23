#!/usr/bin/env python3
"""Reads the golden vectors with nothing but docs/protocol.md: its tables say where each field is, its sections how
messages are framed, packed and laid out. When this fails, the page no longer describes the wire."""

import json
import re
import struct
import sys
from pathlib import Path

ROOT = Path(sys.argv[1])
PAGE = (ROOT / "docs/protocol.md").read_text()
ENUMS = {
    "SealedType": ["none", "prekeyMessage", "message", "senderKeyMessage"],
    "SendKind": ["message", "read", "group", "groupRead"],
    "ReceiptKind": ["delivered", "read", "failed"],
    "GroupRole": ["none", "member", "admin", "owner"],
    "InviteAction": ["show", "create", "revoke"],
    "TypingState": ["stopped", "typing", "recording"],
    "PresenceState": ["hidden", "offline", "online"],
    "Audience": ["everyone", "contacts", "nobody"],
    "GroupEventKind": ["created", "edited", "membersAdded", "membersRemoved", "memberLeft", "roleChanged", "deleted"]
    + ["inviteChanged", "joinRequested", "devicesChanged"],
}

TYPES = {int(number): name for number, name in re.findall(r"^\| (\d+) \| \[(\w+)\]", PAGE, re.M)}
CODES = {int(number): name for number, name in re.findall(r"^\| (\d+) \| `(\w+)` \| ", PAGE.split("## 13. ")[1].split("## 14. ")[0], re.M)}
# Struct name → the tables of that name, in the order of the page (Contact is one of the wire and one of contents).
STRUCTS = {}
for match in re.finditer(r"^`(\w+)`: \d+ data words?, \d+ pointers?\.\n\n.*\n.*\n((?:\|.*\n)+)", PAGE, re.M):
    rows = [[cell.strip().strip("`") for cell in row.strip("|").split(" | ")] for row in match[2].strip().split("\n")]
    STRUCTS.setdefault(match[1], []).append(rows)


def unpack(packed):
    out, i = b"", 0
    while i < len(packed):
        tag, word = packed[i], bytearray(8)
        i += 1
        for byte in range(8):
            if tag >> byte & 1:
                word[byte] = packed[i]
                i += 1
        out += bytes(word)
        if tag == 0x00:
            out += bytes(8 * packed[i])
            i += 1
        elif tag == 0xFF:
            run = packed[i]
            out += packed[i + 1 : i + 1 + 8 * run]
            i += 1 + 8 * run
    return out


class Message:
    def __init__(self, packed):
        words = unpack(packed)
        segments, size = struct.unpack_from("<II", words)
        assert segments == 0 and size == len(words) // 8 - 1
        self.words = words[8:]

    def word(self, at):
        return struct.unpack_from("<Q", self.words, 8 * at)[0]

    def pointer(self, at):
        """(kind, where it points, its upper half), or None."""
        value = self.word(at)
        if value == 0:
            return None
        offset = (value >> 2) & 0x3FFFFFFF
        if offset >> 29:
            offset -= 1 << 30
        return value & 3, at + 1 + offset, value >> 32

    def blob(self, at):
        pointer = self.pointer(at)
        if pointer is None:
            return b""
        kind, start, upper = pointer
        assert kind == 1 and upper & 7 == 2
        return self.words[8 * start : 8 * start + (upper >> 3)]

    def text(self, at):
        raw = self.blob(at)
        assert not raw or raw[-1] == 0
        return raw[:-1].decode()

    def bits(self, start, data_words, first, last):
        if last >= 64 * data_words:
            return 0
        data = int.from_bytes(self.words[8 * start : 8 * (start + data_words)], "little")
        return data >> first & ((1 << (last - first + 1)) - 1)

    def root(self, name, table=0):
        _, start, upper = self.pointer(0)
        return self.struct(name, start, upper & 0xFFFF, table)

    def struct(self, name, start, data_words, table=0):
        rows, tag = STRUCTS[name][table], None
        for _, field, _, place, *_ in rows:
            if field == "(union tag)":
                tag = self.bits(start, data_words, *map(int, re.findall(r"\d+", place)))
        values = {}
        for _, field, kind, place, *_ in rows:
            member = re.search(r"; tag (\d+)", place)
            if field == "(union tag)" or (member and int(member[1]) != tag):
                continue
            values[field] = self.field(kind, place.split(";")[0], start, data_words, table)
        return values

    def field(self, kind, place, start, data_words, table):
        if kind == "Void":
            return {}
        first, *last = map(int, re.findall(r"\d+", place))
        if place.startswith("pointer"):
            return self.behind(kind, start + data_words + first, table)
        return self.number(kind, self.bits(start, data_words, first, last[0] if last else first))

    def number(self, kind, raw):
        if kind == "Code":
            return CODES[raw]
        if kind in ENUMS:
            return ENUMS[kind][raw]
        if kind == "Bool":
            return bool(raw)
        if kind == "Float64":
            return struct.unpack("<d", struct.pack("<Q", raw))[0]
        if kind == "Float32":
            return struct.unpack("<f", struct.pack("<I", raw))[0]
        width = int(re.search(r"\d+$", kind)[0])
        if kind.startswith("Int") and raw >> (width - 1):
            raw -= 1 << width
        return str(raw) if width == 64 else raw

    def behind(self, kind, at, table):
        if kind == "Data":
            return self.blob(at).hex()
        if kind == "Text":
            return self.text(at)
        pointer = self.pointer(at)
        element = re.match(r"List\((\w+)\)", kind)
        if element is None:
            _, start, upper = pointer or (0, 0, 0)
            return self.struct(kind, start, upper & 0xFFFF, table)
        if pointer is None:
            return []
        _, start, upper = pointer
        if element[1] == "Text":
            return [self.text(start + i) for i in range(upper >> 3)]
        if element[1] == "UInt64":
            return [str(self.word(start + i)) for i in range(upper >> 3)]
        tag = self.word(start)
        data_words, step = tag >> 32 & 0xFFFF, (tag >> 32 & 0xFFFF) + (tag >> 48)
        return [self.struct(element[1], start + 1 + i * step, data_words, table) for i in range(tag >> 2 & 0x3FFFFFFF)]


def check_frames():
    vectors = json.loads((ROOT / "schemas/vectors/frames.json").read_text())
    for vector in vectors:
        frame = bytes.fromhex(vector["hex"])
        version, number, length = struct.unpack_from(">BBH", frame)
        assert version == 1 and length == len(frame) - 4
        assert TYPES[number].lower() == vector["type"].lower()
        want = vector["values"]
        for member in ("contacts", "users", "devices"):  # in the schema the list is the member itself
            if TYPES[number] == "Response" and member in want:
                want[member] = want[member][member]
        got = Message(frame[4:]).root(TYPES[number])
        assert got == want, f"{vector['name']}: {got} instead of {want}"
    return len(vectors)


def check_contents():
    vectors = json.loads((ROOT / "schemas/vectors/content.json").read_text())
    for vector in vectors:
        # The second table named Contact is the content's.
        got = Message(bytes.fromhex(vector["hex"])).root("Content", 0) if vector["type"] != "contact" else None
        if got is None:
            message = Message(bytes.fromhex(vector["hex"]))
            _, start, upper = message.pointer(0)
            assert message.bits(start, upper & 0xFFFF, 0, 15) == 6
            _, start, upper = message.pointer(start + (upper & 0xFFFF))
            got = {"contact": message.struct("Contact", start, upper & 0xFFFF, 1)}
        want = vector["values"]["text"] if vector["type"] == "text" else vector["values"]
        assert got == {vector["type"]: want}, f"{vector['name']}: {got} instead of {want}"
    return len(vectors)


print(f"{check_frames()} frames and {check_contents()} contents are as docs/protocol.md says")
