"""`python -m patchline`: the same as the installed command."""

from patchline.cli.app import main

main()
