"""Bounds on untrusted input.  Each is several times what the surveys send, and is checked before memory is given."""


class TooLargeError(ValueError):
    """Input that goes over one of the bounds below."""


MAX_PACKET_BYTES = 4 << 20
"""One alert, after gunzip and the container's codec.  The largest real ones seen: 0.5 MB."""

MAX_FILE_BYTES = 2 << 30
"""One file or archive member after gunzip; a night of ZTF is a tar of small members."""

MAX_BLOCK_BYTES = 256 << 20
"""One block of a file of many alerts, after its codec."""

MAX_HEADER_BYTES = 1 << 20
"""The header of an object container, which is the writer schema.  Real ones: 15-60 kB."""

MAX_CUTOUT_BYTES = 1 << 20
"""One cutout after gunzip.  The largest real one, Rubin's with variance and PSF: 190 kB."""

MAX_CUTOUT_CARDS = 36 * 16
"""Cards of one header of a cutout, each of which costs astropy 7 microseconds.  Real ones: up to 23."""

MAX_CUTOUT_PIXELS = 1024
"""Pixels on a side of a cutout's image or PSF.  Real ones: up to 93."""

MAX_SCHEMA_DEPTH = 16
"""Nesting of records in a writer schema.  Real ones: 4."""

MAX_SCHEMA_VALUES = 1 << 16
"""Values that a record holds outside its lists, with each use of a named type counted.  Real ones: up to 1,000."""

MAX_VALUES_PER_BYTE = 4
"""Values that an item of a list holds for each byte that it takes at least.  Real ones: 2.  Without this, a schema
of the packet's own lets each of its bytes cost a kilobyte and a microsecond."""
