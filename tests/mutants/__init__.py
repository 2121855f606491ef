"""Mutation testing: one small defect at a time in chosen modules, which their tests have to notice.

`make mutants` runs it on a copy of the tree; `docs/mutants.md` has the survivors that are known.
"""
