"""`python -m catagent`."""

from catagent.cli.main import main

main()
