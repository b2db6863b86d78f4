"""As the ceiling, by the code that decodes for the other peers: simplejpeg and OpenCV, called by hand."""

from . import ceiling
from .base import Transform


class Adapter(ceiling.Adapter):
    """Samples in memory."""

    title = "simplejpeg and OpenCV alone"

    def decoder(self):
        transform = Transform(self.row)

        def into(value, out):
            out[...] = transform(value)

        return into
