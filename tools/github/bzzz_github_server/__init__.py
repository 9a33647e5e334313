"""A GitHub to run a hive against on one machine: REST, git over http and pages from a single origin.

`emulate` (a child process, see `emulator`) keeps issues, comments, labels, users and pull requests; a bare git
repository is the truth for everything git; the gateway in between supplies what emulate lacks, so that the
same client talks to this server and to github.com (docs/local-github.md).
"""
