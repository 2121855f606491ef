"""Addresses under /api/orders."""

from django.urls import path

from orders.http import bulk_views, capture_views, lists, placing, receipt_views, refund_views, views
from orders.legs import NEED_APPROVAL
from orders.operators import views as desk_views

app_name = "orders"
urlpatterns = [
    path("", views.Orders.as_view(), name="orders"),
    path("/quote", placing.Quote.as_view(), name="quote"),
    path("/bulk", bulk_views.BulkOrders.as_view(), name="bulk"),
    path("/export", bulk_views.Export.as_view(), name="export"),
    path("/pending", lists.PendingOrders.as_view(), name="pending"),
    path("/stuck", desk_views.Stuck.as_view(), name="stuck"),
    path("/stuck/retry", desk_views.RetryStuck.as_view(), name="retry-stuck"),
    path("/stuck/cancel", desk_views.CancelStuck.as_view(), name="cancel-stuck"),
    path("/customer/<path:name>", lists.CustomerOrders.as_view(), name="customer"),
    path("/<str:reference>", views.OneOrder.as_view(), name="order"),
    path("/<str:reference>/events", views.OrderEvents.as_view(), name="events"),
    path("/<str:reference>/tasks", desk_views.OrderTasks.as_view(), name="tasks"),
    path("/<str:reference>/explanation", views.OrderExplanation.as_view(), name="explanation"),
    path("/<str:reference>/process", views.ProcessOrder.as_view(), name="process"),
    path("/<str:reference>/complete", views.CompleteOrder.as_view(), name="complete"),
    path("/<str:reference>/cancel", views.CancelOrder.as_view(), name="cancel"),
    path("/<str:reference>/refund", views.RefundOrder.as_view(), name="refund"),
    path("/<str:reference>/paid", receipt_views.Paid.as_view(), name="paid"),
    path("/<str:reference>/refunds", refund_views.Refunds.as_view(), name="refunds"),
    path("/<str:reference>/captures", capture_views.Captures.as_view(), name="captures"),
    path("/<str:reference>/retry", views.RetryOrder.as_view(), name="retry"),
]
if NEED_APPROVAL:
    urlpatterns.append(path("/<str:reference>/approve", views.ApproveOrder.as_view(), name="approve"))
