"""`python -m patchline`: the same as the installed command."""

from patchline.app import main

main()
