"""What a SignalR client asks over HTTP before it opens its socket."""

import secrets

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST


@csrf_exempt  # it changes nothing, and the client sends no token
@require_POST
def negotiate(request: HttpRequest) -> JsonResponse:
    """Offer WebSockets. The ids are the protocol's; nothing is kept under them."""
    connection_id = secrets.token_urlsafe(16)
    transport = {"transport": "WebSockets", "transferFormats": ["Text"]}
    answer = {"connectionId": connection_id, "availableTransports": [transport], "negotiateVersion": 0}
    if request.GET.get("negotiateVersion") == "1":
        answer |= {"negotiateVersion": 1, "connectionToken": connection_id}
    return JsonResponse(answer)
