"""Turns the body of a record into JSON, by "The body of a record" and "Exports" of docs/record_format.md."""
import base64, datetime, json, math, struct

METADATA = ["command_id", "correlation_id", "causation_id", "who"]
FIELDS = ["position", "chunk", "category", "id", "version", "type", "schema_version", "recorded_at",
          "occurred_at", "index", "count", "expected", *METADATA, "keys", "result", "fingerprint", "data"]
# The tags of msgpack that a length follows: kind, layout of the length, least length that needs this layout.
LONG = {0xd9: (str, ">B", 2**5), 0xda: (str, ">H", 2**8), 0xdb: (str, ">I", 2**16), 0xdc: (list, ">H", 2**4),
        0xdd: (list, ">I", 2**16), 0xde: (dict, ">H", 2**4), 0xdf: (dict, ">I", 2**16)}


class Damage(Exception):
    """Reports bytes that the page does not allow, or that it reserves for a later program."""


def need(allowed, sentence):
    if not allowed:
        raise Damage(sentence)


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        need(size <= len(self.data) - self.at, "a length exceeds the part that contains it")
        self.at += size
        return self.data[self.at - size:self.at]

    def unpack(self, layout):
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def varint(self, least=0, most=2**64 - 1):
        value, shift, byte = 0, 0, 128
        while byte & 128:
            byte, = self.take(1)
            value, shift = value | (byte & 127) << shift, shift + 7
        need(least <= value <= most and (byte or shift == 7), "a varint is too small, too large or too long")
        return value

    def text(self, least=0, most=2**16):
        return self.take(self.varint(least, most))


class Map(dict):
    def items(self):  # json.dumps calls it, so it also prints a name that occurs twice.
        return self["pairs"]


def take_value(c, values, level=0):
    """Takes a JSON value from its shortest msgpack. The iterator `values` limits the number of values."""
    (tag,), _ = c.take(1), next(values)
    if tag < 0x80 or tag >= 0xe0:
        return tag - (tag & 0x80) * 2
    if tag in (0xc0, 0xc2, 0xc3):
        return {0xc0: None, 0xc2: False, 0xc3: True}[tag]
    if 0xcb <= tag <= 0xd3:
        number, = c.unpack(">" + "dBHIQbhiq"[tag - 0xcb])
        need(math.isfinite(number) if tag == 0xcb else number >= 2**(7, 8, 16, 32)[tag - 0xcc] if tag < 0xd0
             else number < -2**(5, 7, 15, 31)[tag - 0xd0], "not the shortest msgpack")
        return number
    if tag < 0xc0:
        kind, size = (dict, list, str, str)[tag - 0x80 >> 4], tag & (0x1f if tag >= 0xa0 else 0x0f)
    else:
        kind, layout, least = LONG[tag]
        size, = c.unpack(layout)
        need(size >= least, "not the shortest msgpack")
    if kind is str:
        return c.take(size).decode()
    need(level < 64, "too many levels")
    if kind is list:
        return [take_value(c, values, level + 1) for _ in range(size)]
    pairs = [(take_value(c, iter([0]), 64), take_value(c, values, level + 1)) for _ in range(size)]
    need(all(isinstance(name, str) for name, _ in pairs), "a name is not a text")
    return Map(pairs=pairs)


def decode_value(raw):
    value = take_value(c := Cursor(raw), iter(range(2**20)))
    need(c.at == len(raw), "more than one value")
    need(not isinstance(value, Map) or [name for name, _ in value.items()] != ["base64"], "looks like bytes")
    return value


def as_bytes(raw):
    return {"base64": base64.b64encode(raw).decode()}


def text(raw, decode=bytes.decode):
    """Returns the decoded value, or the notation of bytes if there is none."""
    try:
        return decode(raw)
    except (Damage, KeyError, StopIteration, UnicodeDecodeError):
        return as_bytes(raw)


def time(microseconds):
    try:
        moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=microseconds)
        return moment.isoformat(timespec="microseconds") + "Z"
    except OverflowError:
        return microseconds


def to_json(**document):
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def record(body, position, chunk):
    """Returns the document of a record as JSON."""
    c, found, lossy, tag = Cursor(body), {"position": position, "chunk": chunk}, False, 0
    (flags,), found["version"], found["recorded_at"] = c.take(1), c.varint(1), time(*c.unpack("<q"))
    if flags & 1:
        found["occurred_at"] = time(*c.unpack("<q"))
    found["index"] = c.varint(0, 2**32 - 2)
    found["count"], found["schema_version"] = c.varint(found["index"] + 1, 2**32 - 1), c.varint(0, 2**32 - 1)
    found["category"], found["id"] = text(c.text(1, 255)), text(c.text(0, 2**20))
    found["type"] = text(c.text(1, 255))
    if flags & 2:
        found["expected"] = c.varint()
    if flags & 4:
        metadata = {name: text(c.text()) for name in METADATA}
        metadata["keys"] = [[text(c.text()), text(c.text())] for _ in range(c.varint(0, 64))]
        found.update((name, value) for name, value in metadata.items() if value)
        lossy = not any(metadata.values())
    if flags & 8:
        result = c.text()
        found["result"], lossy = text(result, decode_value), lossy or not result
    if flags & 32:
        fingerprint, = c.unpack("<Q")
        need(fingerprint, "a fingerprint is 0")
        found["fingerprint"] = f"{fingerprint:016x}"
    for _ in range(c.varint(1, 64) if flags & 16 else 0):
        tag, _, lossy = c.varint(tag + 1), c.text(), True
    need(flags < 64, "a record has unknown flags")
    need(len(body) <= 2**25 and len(body) - c.at <= 2**24, "a record is too long")
    found["data"] = text(body[c.at:], decode_value)
    line = to_json(**{name: found[name] for name in FIELDS if name in found})
    if lossy or len(line) > 2**26:  # The fields cannot say it, or take too much.
        line = to_json(position=position, chunk=chunk, body=as_bytes(body))
    return line
