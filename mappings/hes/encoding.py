"""An episode as bytes, for a file that holds it until it is joined to a spell."""

import msgspec

from mappings.hes.episodes import Episode

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Episode).decode
