"""The same shop as the tutorials of Django, DRF and Celery would have it, on their default settings.

Written to be read, and to be fair: models with foreign keys, a nested serializer, one canvas for each order,
tasks that load, change and save. What the tutorials warn of is heeded (`on_commit`, `select_for_update`,
`acks_late`); what they do not speak of is left out.
"""
