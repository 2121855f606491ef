"""The same shop after the tutorials of Django, DRF and Celery, on default settings.

Meant as a fair comparison: foreign keys, a nested serializer, one canvas per order, tasks that load, change and save.
It heeds the tutorials' warnings (`on_commit`, `select_for_update`, `acks_late`) and leaves out what they leave out.
"""
