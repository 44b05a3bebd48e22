"""Who is measured against whom in `peers.py`: recipes of training, networks, and every pairing of them."""

import os

os.environ.setdefault("TQDM_DISABLE", "1")  # read once, when the peers import tqdm: samplers without progress bars
