"""What the live side keeps: tickets, which any server may have issued and any other may redeem."""

from django.db import models


class Ticket(models.Model):
    """A ticket that was issued and not redeemed. Of the ticket itself only a digest is kept."""

    digest = models.BinaryField(primary_key=True)
    kind = models.CharField(max_length=20)
    value = models.CharField(max_length=200)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"ticket of a {self.kind}"
