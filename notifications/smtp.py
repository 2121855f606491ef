"""Django's SMTP back end under the deadline of the mail: its own timeout restarts with each answer."""

import smtplib
import socket
from typing import Any

from django.core.mail.backends.smtp import EmailBackend

from providers.deadline import attach


class _Watched(smtplib.SMTP):
    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        made: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]
        attach(made)
        return made


class _WatchedTls(smtplib.SMTP_SSL):
    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        # As smtplib does it, but watched before the handshake, which may take its time, too.
        plain = socket.create_connection((host, port), timeout, self.source_address)
        attach(plain)
        return self.context.wrap_socket(plain, server_hostname=self._host)  # type: ignore[attr-defined]


class Backend(EmailBackend):
    """SMTP; `EMAIL_URL=smtp+tls://user:password@host:587`."""

    @property
    def connection_class(self) -> Any:
        """Return the client, whose socket the current deadline watches."""
        return _WatchedTls if self.use_ssl else _Watched
