"""`python -m benchmarks.gpu`."""

import sys
from importlib.util import find_spec

from wire_contract.errors import EXIT_MISCONFIGURED, missing_extra

if find_spec("torch") is None:
    print(f"error: {missing_extra('torch', 'torch')}", file=sys.stderr)
    sys.exit(EXIT_MISCONFIGURED)

from benchmarks.gpu.command import main

sys.exit(main())
