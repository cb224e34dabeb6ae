"""python -m fedward: the same as the command fedward."""

from fedward.cli import main

main()
