"""How a result is written: for people, for programs, for test reporters and for code scanners."""
