"""SignalR's HTTP negotiation, before its socket opens."""

import secrets

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST


@csrf_exempt  # stateless, and without a token
@require_POST
def negotiate(request: HttpRequest) -> JsonResponse:
    """Offer WebSockets. Ids are required, but not stored."""
    connection_id = secrets.token_urlsafe(16)
    transport = {"transport": "WebSockets", "transferFormats": ["Text"]}
    answer = {"connectionId": connection_id, "availableTransports": [transport], "negotiateVersion": 0}
    if request.GET.get("negotiateVersion") == "1":
        answer |= {"negotiateVersion": 1, "connectionToken": connection_id}
    return JsonResponse(answer)
