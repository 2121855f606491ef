"""URLs below `/api/inventory`, without trailing slashes."""

from django.urls import path

from inventory import views

urlpatterns = [
    path("", views.ProductsView.as_view(), name="inventory-products"),
    path("/sync", views.SyncView.as_view(), name="inventory-sync"),
    path("/<str:reference>", views.ProductView.as_view(), name="inventory-product"),
    path("/<str:reference>/adjust", views.AdjustView.as_view(), name="inventory-adjust"),
    path("/<str:reference>/changes", views.ChangesView.as_view(), name="inventory-changes"),
]
