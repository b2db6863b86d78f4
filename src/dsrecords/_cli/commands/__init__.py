"""The subcommands, one a module.

A module's name is the command's. It has `command`, of click, whose function returns the exit code
(None is 0), and `SECTION`, under which `dsrecords --help` lists it: one of `help.SECTIONS`.
"""
