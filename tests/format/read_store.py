#!/usr/bin/env python3
"""Reads a store by docs/record_format.md alone, and prints the NDJSON that `cairn export` prints.

If anything is damaged, it prints one sentence and no record, and exits with 1. Usage: read_store.py FOLDER
"""
import ctypes, hashlib, pathlib, struct, sys, types
from read_record import Cursor, Damage, need, record, to_json

try:
    xxh3 = ctypes.CDLL("libxxhash.so.0").XXH3_64bits_withSeed
except OSError:
    sys.exit("skipped: no xxhash")
xxh3.argtypes, xxh3.restype = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64], ctypes.c_uint64

IDENTITY = b"cairn id", "II16sqI12s", "format flags id created partition zeros"
HIGH_WATER = b"cairn hw", "16sQ32s8s", "id position hash zeros"
SEGMENT = (b"cairnlog", "II16sqIIQQQQ32sQ",
           "format flags id created partition zero number first base epoch previous zeros")
COMMIT = (b"comm", "BBBBIIQQIIQII", "kind zero ignorable critical chunk_bytes blanks first durable records "
          "partition epoch extension_bytes zeros")


def header(kind, data, at=0, seed=0):
    """Returns the fields of a header, or None if its first bytes or its checksum are wrong."""
    magic, layout, names = kind
    size = len(magic) + struct.calcsize("<" + layout)
    raw = data[at:at + size + 8].ljust(size + 8, b"\0")
    if raw.startswith(magic) and raw[size:] == struct.pack("<Q", xxh3(raw, size, seed % 2**64)):
        fields = struct.unpack_from("<" + layout, raw, len(magic))
        return types.SimpleNamespace(**dict(zip(names.split(), fields)))


def sectors(part, at):
    """Returns the pieces, one for each sector, of a part that begins at an offset."""
    cuts = [0, *range(512 - at % 512, len(part), 512), len(part)]
    return [part[start:end] for start, end in zip(cuts, cuts[1:])]


def split(commit, data, at):
    """Returns the bytes of a commit, the end of its chunks, and the sectors that it lists as blank."""
    end = 64 + commit.extension_bytes + commit.chunk_bytes
    list_begin = (end + 7) // 8 * 8
    list_end = list_begin + 8 * commit.blanks
    size = (list_end + 63) // 64 * 64
    raw = data[at:at + size].ljust(size, b"\0")
    pairs = list(struct.iter_unpack("<2I", raw[list_begin:list_end]))
    need(all(a ^ b == 2**32 - 1 or a == b == 0 for a, b in pairs), "the list of blanks is damaged")
    need(not any(raw[end:list_begin] + raw[list_end:]), "the bytes behind the chunks or blanks are not zero")
    return raw, end, [a for a, b in pairs if a != b]


class Store:
    def __init__(self, folder):
        def read(name):
            path = pathlib.Path(folder, name)
            return path.read_bytes() if path.exists() else b""

        names = sorted(path.name for path in pathlib.Path(folder, "log").iterdir() if path.name != "next")
        self.logs = [read(f"log/{name}").rstrip(b"\0") for name in names]  # Zeros at the end say nothing.
        self.identity = header(IDENTITY, read("identity")) or header(SEGMENT, b"".join(self.logs[:1]))
        need(names and self.identity, "the log has no segment, or nothing says whose it is")
        need(self.identity.format == 2 and self.identity.flags < 2**16, "the store has an unknown format")
        self.salt, = struct.unpack("<Q", self.identity.id[:8])
        self.next, self.head, self.lines = 1, hashlib.sha256(self.identity.id).digest(), []
        self.hashes, finished, end = {0: self.head}, True, 0
        mark = header(HIGH_WATER, read("high-water"))
        self.mark, mark_hash = (mark.position, mark.hash) if mark else (0, self.head)
        for index, name in enumerate(names):
            finished, end = self.read_segment(index, name, (end + 511) // 512 * 512)
        need(not finished, "the log lacks the next segment that it promises")
        need(self.hashes.get(self.mark) == mark_hash, "the log lacks the chunk of the high-water mark")

    def read_segment(self, index, name, base):
        """Returns whether the segment is finished, and the address of its end."""
        data, at, finished, segment = self.logs[index], 512, False, header(SEGMENT, self.logs[index])
        need(segment and not any(data[128:512]), f"the header of {name} is damaged")
        need(segment.format == 2 and segment.flags < 2**16, f"{name} has an unknown format")
        place = segment.number, segment.first, segment.base, segment.previous
        need(name == f"{self.next:020}.log" and place == (index + 1, self.next, base, self.head),
             f"{name} does not continue the log")
        need((segment.id, segment.created) == (self.identity.id, self.identity.created), f"{name} is foreign")
        while at < len(data):
            try:
                need(not finished, "something follows the end of the segment")
                size, finished = self.read_commit(data, at, base)
                at += size
            except Damage as damage:
                need(self.is_interrupted(index, at, base), f"{name}, offset {at}: {damage}")
                break
        return finished, base + at + (0 if finished else 64)  # An end counts also if it is lost.

    def read_commit(self, data, at, base):
        """Returns the size of a commit, and whether it is the end of the segment."""
        commit = header(COMMIT, data, at, base + at + self.salt)
        need(commit and not commit.zero and not commit.zeros, "the header of a commit is damaged")
        need(commit.kind in (1, 2) and not commit.critical, "a commit has an unknown format")
        need(commit.first == self.next and commit.durable < self.next, "a commit has a wrong position")
        raw, end, listed = split(commit, data, at)
        blank = [number for number, piece in enumerate(sectors(raw[:end], at))
                 if bin(int.from_bytes(piece, "big")).count("1") < 2]
        need(listed == blank and len(listed) == commit.blanks, "the list of blanks is wrong")
        chunks, lines, hashes, head = Cursor(raw[64 + commit.extension_bytes:end]), [], {}, self.head
        while chunks.at < len(chunks.data):
            chunk, position = Cursor(chunks.take(*chunks.unpack("<I"))), self.next + len(lines)
            version, count, first, previous, checksum = chunk.unpack("<BIQ32sQ")
            need(checksum == xxh3(chunk.data, 45, first), "the header of a chunk is damaged")
            need(version == 1 and 0 < count < 256, "a chunk has an unknown format or a wrong count")
            need(count == 1 or len(chunk.data) <= 4096, "a chunk with several records is too long")
            need((first, previous) == (position, head), "a chunk does not continue the chain")
            for position in range(first, first + count):
                size, checksum = chunk.unpack("<IQ")
                body = chunk.take(size)
                need(checksum == xxh3(body, size, position), f"the record at position {position} is damaged")
                lines.append(record(body, position, first))
            need(chunk.at == len(chunk.data), "a chunk has bytes behind its records")
            head = hashes[position] = hashlib.sha256(struct.pack(">Q", first) + chunk.data).digest()
        need(len(lines) == commit.records, "a commit does not have the records that it announces")
        need((commit.kind == 1) == (len(lines) > 0), "a commit is empty, or an end of a segment is not")
        self.next, self.head = self.next + len(lines), head
        self.lines += lines
        self.hashes.update(hashes)
        return len(raw), commit.kind == 2

    def is_interrupted(self, index, at, base):
        """Returns whether rules 2 and 3 say of bytes that are no sound commit: an interrupted write."""
        data, durable, begin = self.logs[index], [self.mark], at + 64
        commit = header(COMMIT, data, at, base + at + self.salt)
        for log in self.logs[index:]:
            if segment := header(SEGMENT, log):
                further = (header(COMMIT, log, offset, segment.base + offset + self.salt)
                           for offset in range(begin, len(log), 64))
                durable += [segment.first - 1, *(later.durable for later in further if later)]
            begin = 512
        if max(durable) >= self.next or index + 1 < len(self.logs):
            return False
        if not commit:
            return not any(data[at:at + 64])
        raw, _, listed = split(commit, data, at)
        return any(not any(piece) and number not in listed for number, piece in enumerate(sectors(raw, at)))


def export(folder):
    """Returns the lines of the export, or raises Damage."""
    store = Store(folder)
    footer = to_json(records=len(store.lines), head=f"{store.next - 1}:{store.head.hex()}")
    return [to_json(format="cairn export", version=2, store=store.identity.id.hex()), *store.lines, footer]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        sys.stdout.buffer.writelines(line + b"\n" for line in export(sys.argv[1]))
    except (Damage, OSError) as error:
        sys.exit(f"read_store.py: {sys.argv[1]} is damaged: {error}.")
