"""The API: one view set."""

from functools import partial
from typing import Any

from django.db import transaction
from django.urls import include, path
from rest_framework import viewsets
from rest_framework.routers import SimpleRouter
from rest_framework.serializers import BaseSerializer

from bench.textbook.models import Order
from bench.textbook.serializers import OrderSerializer
from bench.textbook.tasks import process


class OrderViewSet(viewsets.ModelViewSet):
    queryset = Order.objects.prefetch_related("items")
    serializer_class = OrderSerializer

    def get_serializer(self, *args: Any, **kwargs: Any) -> BaseSerializer[Order]:
        kwargs.setdefault("many", isinstance(kwargs.get("data"), list))
        return super().get_serializer(*args, **kwargs)

    def perform_create(self, serializer: BaseSerializer[Order]) -> None:
        saved = serializer.save(owner=self.request.user)
        for order in saved if isinstance(saved, list) else [saved]:
            transaction.on_commit(partial(process, order.pk))


router = SimpleRouter(trailing_slash=False)
router.register("orders", OrderViewSet)
urlpatterns = [path("api/", include(router.urls))]
