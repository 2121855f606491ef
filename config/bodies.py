"""Bodies are read in front of all views, and never beyond what the proxy has buffered."""

from collections.abc import Callable
from io import BytesIO

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse

from api.problems import Problem
from config import errors

BULK = "/api/orders/bulk"  # reads its body itself, line by line
PIECE = 64 * 1024


class ReadsBodies:
    """Refuses a body that is too large by its announced length, and reads one that announces none.

    What is small enough, the proxy has read to its end before it asks us. The rest of a larger one would come as fast
    as its client likes, and a thread would wait for it: Django itself limits forms without their files, and JSON.

    A body without a length (`Transfer-Encoding: chunked`) is empty to Django, so it gets its length here. Where the
    server cannot mark its end, it is refused (411).
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info != BULK:
            try:
                _check_length(request)
                _read_without_length(request)
            except (RequestDataTooBig, Problem) as error:
                return errors.response_to(error)
        return self._get_response(request)


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
    """Whether a request without a length can have a body: one in chunks, or one in the frames of HTTP/2."""
    is_framed = request.META.get("SERVER_PROTOCOL", "").startswith("HTTP/2")
    return "HTTP_TRANSFER_ENCODING" in request.META or is_framed


def _read_all(read: Callable[[int], bytes]) -> bytes:
    """Return a body to its end. Raises RequestDataTooBig without asking for what may not have come in yet."""
    pieces, size = [], 0
    while piece := read(PIECE):
        pieces.append(piece)
        size += len(piece)
        if size >= settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise RequestDataTooBig
    return b"".join(pieces)
