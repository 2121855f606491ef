"""Patches of Celery and kombu, one per module: the defect, the test that shows it, and when to remove the patch."""
