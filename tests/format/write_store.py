"""Writes a small store by docs/record_format.md alone, with records that applications seldom write."""
import hashlib, pathlib, struct
from read_store import sectors, xxh3

STORE_ID = bytes(range(16))
# Values of msgpack that JSON keeps.
VALUES = (
    "c0 c2 c3 00 7f e0 ff a0 80 90 cc80 ccff cd0100 cdffff ce00010000 cf0000000100000000 "
    "cfffffffffffffffff d0df d080 d1ff7f d18000 d2ffff7fff d3ffffffff7fffffff d38000000000000000 "
    "cb3ff8000000000000 cb3ff0000000000000 cb8000000000000000 cb7e37e43c8800759c cb4480f0cf064dd592 "
    "cb0000000000000001 82a16101a16102 82a16201a16102 a2007f a4f09f9880 81a16181a6626173653634a0 "
    "82a6626173653634a0a16101 ")
# Bytes of msgpack that JSON does not keep: not the shortest, without such a value, or not msgpack.
BYTES = (
    "cc7f cd00ff ce0000ffff cf00000000ffffffff d1ff80 d10100 d0e0 ca3fc00000 cb7ff0000000000000 "
    "cb7ff8000000000000 810101 c40161 91c40161 d40161 a1ff a3eda080 c1 92c0 c0c0 d90161 dc0001c0 "
    "de0001a161c0 81a6626173653634a451554a44 ")


def text(raw):
    return bytes([len(raw)]) + raw


def body(id, flags=0, time=0, occurred=b"", middle=b"", payload=b"\xc0"):
    """Returns the body of the first record of an aggregate, with the fields that `flags` promises."""
    start = bytes([flags, 1]) + struct.pack("<q", time) + occurred + bytes([0, 1, 1])
    return start + text(b"c") + text(id) + text(b"t") + middle + payload


def unusual_bodies():
    payloads = [bytes.fromhex(payload) for payload in (VALUES + BYTES).split()]
    payloads += [b"\x91" * levels + inner for levels in (63, 64, 65) for inner in (b"\x90", b"\xc0")]
    payloads += [b"", b"\xda\x10\x00" + bytes(4096), b"\xda\x10\x00" + bytes(1000) + b"a" + bytes(3095)]
    year_1, year_10000 = -62135596800000000, 253402300800000000
    choices = [{"payload": payload} for payload in payloads]
    choices += [{"time": t} for t in (-1, year_1, year_1 - 1, year_10000 - 1, year_10000, -2**63, 2**63 - 1)]
    choices += [
        {"flags": 1, "occurred": bytes(8)},
        {"flags": 2, "middle": b"\xff" * 9 + b"\1"},  # the largest version expected
        {"flags": 4, "middle": bytes(5)},  # empty metadata
        {"flags": 4, "middle": text(b"a") + bytes(4)},  # with a command id
        {"flags": 4, "middle": bytes(3) + text(b"\xff") + bytes(1)},  # with a principal, not UTF-8
        {"flags": 4, "middle": bytes(4) + b"\2" + text(b"k") + text(b"\xff") + bytes(2)},  # with two keys
        {"flags": 8, "middle": text(b"\xc0")},  # results
        {"flags": 8, "middle": text(b"\xcc\1")},
        {"flags": 8, "middle": text(b"")},
        {"flags": 16, "middle": b"\1\2" + text(b"x")},  # extensions
        {"flags": 16, "middle": b"\2\1" + text(b"x") + b"\3" + text(b"")}]
    ids = [b"", b"\xff", b"\0", b"\xed\xa0\x80", b"\xe2\x80\xa8"]
    return [*map(body, ids), *(body(b"%d" % number, **fields) for number, fields in enumerate(choices))]


def sealed(raw, seed=0):
    return raw + struct.pack("<Q", xxh3(raw, len(raw), seed % 2**64))


class Writer:
    def __init__(self, folder):
        self.folder, self.number, self.next, self.end = pathlib.Path(folder), 0, 1, 0
        self.head = hashlib.sha256(STORE_ID).digest()
        (self.folder / "log").mkdir(parents=True)
        identity = sealed(b"cairn id" + struct.pack("<II", 2, 0) + STORE_ID + bytes(24))
        (self.folder / "identity").write_bytes(identity)

    def begin_segment(self):
        self.path = self.folder / f"log/{self.next:020}.log"
        self.number, self.base = self.number + 1, self.end
        place = struct.pack("<QQQQ", self.number, self.next, self.base, 0) + self.head + bytes(8)
        header = sealed(b"cairnlog" + struct.pack("<II", 2, 0) + STORE_ID + bytes(16) + place)
        self.log = header.ljust(512, b"\0")

    def commit(self, *chunks, kind=1):
        """Writes lists of bodies as the chunks of one commit."""
        first, part = self.next, b""
        for bodies in chunks:
            chunk = sealed(struct.pack("<BIQ", 1, len(bodies), self.next) + self.head, self.next)
            for position, record in enumerate(bodies, self.next):
                chunk += struct.pack("<IQ", len(record), xxh3(record, len(record), position)) + record
            self.head = hashlib.sha256(struct.pack(">Q", self.next) + chunk).digest()
            self.next, part = self.next + len(bodies), part + struct.pack("<I", len(chunk)) + chunk
        at, salt = len(self.log), int.from_bytes(STORE_ID[:8], "little")
        pieces = sectors(b"\xff" * 64 + part, at)  # The header is not blank.
        blank = [i for i, piece in enumerate(pieces) if bin(int.from_bytes(piece, "big")).count("1") < 2]
        header = struct.pack("<BBBBIIQQIIQII", kind, 0, 0, 0, len(part), len(blank), first, first - 1,
                             self.next - first, 0, 0, 0, 0)
        self.log += sealed(b"comm" + header, self.base + at + salt) + part
        if blank:
            self.log = self.log.ljust((len(self.log) + 7) // 8 * 8, b"\0")
            self.log += b"".join(struct.pack("<II", i, 2**32 - 1 - i) for i in blank)
        self.log = self.log.ljust((len(self.log) + 63) // 64 * 64, b"\0")

    def write_segment(self):
        self.path.write_bytes(self.log)
        self.end = self.base + (len(self.log) + 511) // 512 * 512


def write_unusual_store(folder):
    """Writes segments of eight commits of three chunks each. The last segment is not finished."""
    writer, bodies = Writer(folder), unusual_bodies()
    chunks = [[bodies[0]], bodies[1:5], *([record] for record in bodies[5:])]
    for begin in range(0, len(chunks), 24):
        writer.begin_segment()
        for at in range(begin, min(begin + 24, len(chunks)), 3):
            writer.commit(*chunks[at:at + 3])
        if begin + 24 < len(chunks):
            writer.commit(kind=2)
        writer.write_segment()
