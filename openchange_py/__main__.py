"""`python -m openchange_py` is `ocpy`."""

from openchange_py.cli.main import main

main()
