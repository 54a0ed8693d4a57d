"""`python -m patchline.bench.gpu`."""

import sys
from importlib.util import find_spec

from patchline.wire.errors import EXIT_MISCONFIGURED, missing_extra

if find_spec("torch") is None:
    print(f"error: {missing_extra('torch', 'torch')}", file=sys.stderr)
    sys.exit(EXIT_MISCONFIGURED)

from patchline.bench.gpu.command import main

sys.exit(main())
