"""Patches of Celery and kombu: defect, test, and when to remove."""
