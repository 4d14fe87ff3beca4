"""Turns the body of a record into JSON, by "The body of a record" and "Exports" of docs/record_format.md."""
import base64, datetime, json, math, struct

METADATA = ["command_id", "correlation_id", "causation_id", "who"]
FIELDS = ["position", "chunk", "category", "id", "version", "type", "schema_version", "recorded_at",
          "occurred_at", "index", "count", "expected", *METADATA, "keys", "result", "fingerprint", "data"]
# The tags of msgpack that a length follows: kind, layout of the length, least length that needs this layout.
LONG = {0xc4: ("bin", ">B", 0), 0xc5: ("bin", ">H", 2**8), 0xc6: ("bin", ">I", 2**16),
        0xc7: ("ext", ">B", 0), 0xc8: ("ext", ">H", 2**8), 0xc9: ("ext", ">I", 2**16),
        0xd9: ("str", ">B", 2**5), 0xda: ("str", ">H", 2**8), 0xdb: ("str", ">I", 2**16),
        0xdc: ("array", ">H", 2**4), 0xdd: ("array", ">I", 2**16), 0xde: ("map", ">H", 2**4), 0xdf: ("map", ">I", 2**16)}


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


def tagged(name, value):
    return Map(pairs=[("$" + name, value)])


def octets(raw):
    return base64.b64encode(raw).decode()


def timestamp(raw):
    """Returns the text of a timestamp in its shortest form, or None."""
    if len(raw) == 4:
        seconds, nanoseconds = int.from_bytes(raw, "big"), 0
    elif len(raw) == 8:
        seconds, nanoseconds = int.from_bytes(raw, "big") & 2**34 - 1, int.from_bytes(raw, "big") >> 34
    elif len(raw) == 12:
        nanoseconds, seconds = struct.unpack(">Iq", raw)
    else:
        return None
    least = 4 if nanoseconds == 0 and 0 <= seconds < 2**32 else 8 if 0 <= seconds < 2**34 else 12
    text = time(seconds * 10**6 + nanoseconds // 1000)
    if len(raw) != least or nanoseconds >= 10**9 or not isinstance(text, str):
        return None
    return text[:-1] + f"{nanoseconds % 1000:03}Z" if nanoseconds % 1000 else text


def fraction(kind, layout, raw):
    """Returns the notation of a float, or None if it is a NaN with other bits."""
    number, = struct.unpack(layout, raw)
    for name in ("NaN", "-NaN", "Infinity", "-Infinity"):
        if struct.pack(layout, float(name)) == raw:
            return tagged(kind, name)
    if not math.isfinite(number):
        return None
    if kind == "float64":
        return number
    short = (float(f"{number:.{digits}g}") for digits in range(1, 10))
    return tagged(kind, next(one for one in short if abs(one) < 2**128 and struct.pack(layout, one) == raw))


def take_value(c, limit, level=0):
    """Takes one msgpack value. Returns its notation, and the levels and values of that notation."""
    begin, ((tag,), _) = c.at, (c.take(1), next(limit))
    need(level <= 64, "too many levels")
    if tag < 0x80 or tag >= 0xe0:
        return tag - (tag & 0x80) * 2, 0, 1
    if tag in (0xc0, 0xc2, 0xc3):
        return {0xc0: None, 0xc2: False, 0xc3: True}[tag], 0, 1
    need(tag != 0xc1, "no msgpack")
    found, shortest, size = None, True, tag & (0x1f if tag >= 0xa0 else 0x0f)
    if tag in (0xca, 0xcb):
        value = fraction(*(("float32", ">f", c.take(4)) if tag == 0xca else ("float64", ">d", c.take(8))))
        found = value if value is None else (value, 1, 2) if isinstance(value, Map) else (value, 0, 1)
    elif 0xcc <= tag <= 0xd3:
        number, = c.unpack(">" + "BHIQbhiq"[tag - 0xcc])
        shortest = number >= 2**(7, 8, 16, 32)[tag - 0xcc] if tag < 0xd0 else number < -2**(5, 7, 15, 31)[tag - 0xd0]
        found = number, 0, 1
    else:
        if tag < 0xc0:
            kind = ("map", "array", "str", "str")[tag - 0x80 >> 4]
        elif 0xd4 <= tag <= 0xd8:
            kind, size = "ext", 2**(tag - 0xd4)
        else:
            kind, layout, least = LONG[tag]
            size, = c.unpack(layout)
            shortest = size >= least and not (tag == 0xc7 and size in (1, 2, 4, 8, 16))
        found = take_sized(c, limit, level, kind, size)
    return found if found and shortest else (tagged("msgpack", octets(c.data[begin:c.at])), 1, 2)


def take_sized(c, limit, level, kind, size):
    if kind == "bin":
        return tagged("bin", octets(c.take(size))), 1, 2
    if kind == "ext":
        (number,), raw = c.unpack(">b"), c.take(size)
        if number == -1 and timestamp(raw):
            return tagged("timestamp", timestamp(raw)), 1, 2
        return tagged("ext", [number, octets(raw)]), 2, 4
    if kind == "str":
        raw = c.take(size)
        try:
            return raw.decode(), 0, 1
        except UnicodeDecodeError:
            return tagged("str", octets(raw)), 1, 2
    parts = [take_value(c, limit, level + 1) for _ in range(size * (2 if kind == "map" else 1))]
    deepest, total = max((part[1] for part in parts), default=0), sum(part[2] for part in parts)
    values = [part[0] for part in parts]
    if kind == "array":
        return values, deepest + 1, total + 1
    pairs = list(zip(values[::2], values[1::2]))
    names = [name for name, _ in pairs]
    misread = size == 1 and isinstance(names[0], str) and (names[0][:1] == "$" or (level == 0 and names[0] == "base64"))
    if all(isinstance(name, str) for name in names) and not misread:
        return Map(pairs=pairs), deepest + 1, total - size + 1
    return tagged("map", [list(pair) for pair in pairs]), deepest + 3, total + size + 2


def decode_value(raw):
    value, levels, values = take_value(c := Cursor(raw), iter(range(2**21)))
    need(c.at == len(raw), "more than one value")
    need(levels <= 64 and values <= 2**20, "beyond a limit")
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
