"""Runs of scheduled work; their key makes each slot run once."""

from django.db import models


class ScheduledRun(models.Model):
    """One slot of one scheduled job."""

    pk = models.CompositePrimaryKey("name", "slot")
    name = models.CharField(max_length=60)
    slot = models.BigIntegerField(help_text="The slot's start, in units of the interval since 1970.")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    outcome = models.TextField(blank=True, help_text="What came of it, or the traceback.")

    class Meta:
        indexes = [models.Index(fields=["started_at"], name="scheduling_started_at")]

    def __str__(self) -> str:
        return f"{self.name} #{self.slot}"
