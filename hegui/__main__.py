"""Lets `python -m hegui` be the command `hegui`."""

from hegui.cli import main

main()
