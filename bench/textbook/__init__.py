"""The same shop after the tutorials of Django, DRF and Celery, on default settings.

A fair comparison: it heeds their warnings (`on_commit`, `select_for_update`, `acks_late`), and omits what they omit.
"""
