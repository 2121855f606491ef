"""Limits and reads request bodies before any view."""

from collections.abc import Callable
from io import BytesIO

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse

from api.problems import Problem
from config import errors

BULK = "/api/orders/bulk"  # streams its body line by line
PIECE = 64 * 1024


class ReadsBodies:
    """Refuses packed bodies and those over the limit, and reads those without a `Content-Length`.

    The proxy buffers small bodies; the rest of a larger one arrives at the client's pace and would block a thread.
    Django limits only JSON and form fields, and treats chunked bodies as empty. Without an end marker: 411.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            _check_coding(request)
            if request.path_info != BULK:
                _check_length(request)
                _read_without_length(request)
        except (RequestDataTooBig, Problem) as error:
            return errors.response_to(error, request)
        return self._get_response(request)


def _check_coding(request: HttpRequest) -> None:
    """Refuse packed bodies: what they unpack to has no limit."""
    if request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower() not in ("", "identity"):
        raise Problem(
            "unsupported_media_type",
            "Send the body as it is, without a Content-Encoding.",
            status_code=415,
            headers={"Accept-Encoding": "identity"},
        )


def _check_length(request: HttpRequest) -> None:
    length = request.META.get("CONTENT_LENGTH") or "0"
    if length.isdecimal() and int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        raise RequestDataTooBig


def _read_without_length(request: HttpRequest) -> None:
    if request.META.get("CONTENT_LENGTH") or not _may_have_body(request):
        return
    if not request.META.get("wsgi.input_terminated"):
        raise Problem("length_required", "Send a Content-Length.", status_code=411)
    body = _read_all(request.META["wsgi.input"].read)
    request.META["CONTENT_LENGTH"] = str(len(body))
    request._stream = BytesIO(body)  # what Django reads the body from


def _may_have_body(request: HttpRequest) -> bool:
    is_framed = request.META.get("SERVER_PROTOCOL", "").startswith("HTTP/2")
    return "HTTP_TRANSFER_ENCODING" in request.META or is_framed


def _read_all(read: Callable[[int], bytes]) -> bytes:
    """Return the body. Raises RequestDataTooBig before it reads what may not be buffered."""
    pieces, size = [], 0
    while piece := read(PIECE):
        pieces.append(piece)
        size += len(piece)
        if size >= settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise RequestDataTooBig
    return b"".join(pieces)
