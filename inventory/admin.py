"""Products, stock and stock adjustments in the admin.

Stock is adjusted by a difference: the pipeline keeps writing it, and a form would save stale values.
"""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F, QuerySet
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from inventory import naming, overwritten, stock
from inventory.listing import RUNS_LOW, matches
from inventory.listing_cache import forget_listings
from inventory.models import Product, StockChange, StockItem
from inventory.serializers import LARGEST_ADJUSTMENT
from iso.currencies import format_amount, rounded

FREE_UNITS = F("stock__on_hand") - F("stock__reserved")


class AdjustmentForm(forms.Form):
    by = forms.IntegerField(
        label="Units to add",
        min_value=-LARGEST_ADJUSTMENT,
        max_value=LARGEST_ADJUSTMENT,
        help_text="Use a negative number to remove units. Reserved units cannot be removed.",
    )
    reason = forms.CharField(max_length=200)

    def clean_by(self) -> int:
        by: int = self.cleaned_data["by"]
        if by == 0:
            raise forms.ValidationError("Enter a number other than zero.")
        return by


class ProductForm(ModelForm):
    """A product with a unique SKU and name."""

    class Meta:
        model = Product
        fields = "__all__"  # noqa: DJ007 - limited by the admin's field lists

    def clean_sku(self) -> str:
        """Return a normalised SKU; reject one that breaks URLs."""
        sku = naming.tidy(self.cleaned_data["sku"])
        if "sku" in self.changed_data:
            naming.check_sku(sku)
            naming.check_free("sku", sku, product_id=self.instance.pk)
        return sku

    def clean_name(self) -> str:
        name = naming.tidy(self.cleaned_data["name"])
        if "name" in self.changed_data:
            naming.check_free("name", name, product_id=self.instance.pk)
        return name

    def clean(self) -> dict[str, Any]:
        """Reject more decimals than the currency has."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if {"price", "currency"} <= cleaned.keys():
            try:
                naming.check_price(cleaned["price"], cleaned["currency"])
                cleaned["price"] = rounded(cleaned["price"], cleaned["currency"])
            except forms.ValidationError as error:
                self.add_error("price", error)
        return cleaned


class StockFilter(admin.SimpleListFilter):
    title = "stock"
    parameter_name = "stock"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        return [("low", "Below the reorder level"), ("out", "Sold out")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Product]) -> QuerySet[Product]:  # noqa: ARG002
        if self.value() == "low":
            return queryset.filter(RUNS_LOW)
        if self.value() == "out":
            return queryset.exclude(stock__on_hand__gt=F("stock__reserved"))
        return queryset


class ReorderLevelForm(ModelForm):
    """Edits the one column that the pipeline does not write."""

    class Meta:
        model = StockItem
        fields = ["reorder_level"]

    def save(self, commit: bool = True) -> StockItem:  # noqa: ARG002, FBT001, FBT002 - as Django calls it
        level = self.cleaned_data["reorder_level"]
        StockItem.objects.set_reorder_level(product_id=self.instance.pk, level=level)
        return self.instance


class StockInline(admin.TabularInline):
    model = StockItem
    form = ReorderLevelForm
    verbose_name_plural = "stock"
    readonly_fields = ["available", "on_hand", "reserved", "sold"]
    fields = ["available", "on_hand", "reserved", "sold", "reorder_level"]
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Refuse: every product has its row."""
        return False


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    """Products with their stock; retired, never deleted."""

    form = ProductForm
    list_display = ["sku", "name", "category", "price_shown", "available", "reserved", "sold", "active"]
    list_display_links = ["sku", "name"]
    list_filter = ["active", StockFilter, "category"]
    list_select_related = ["stock"]
    search_fields = ["sku", "name", "description"]
    inlines: ClassVar = [StockInline]
    readonly_fields = ["adjust", "updated_at"]

    def get_search_results(
        self,
        request: HttpRequest,  # noqa: ARG002 - Django's signature
        queryset: QuerySet[Product],
        search_term: str,
    ) -> tuple[QuerySet[Product], bool]:
        for word in search_term.split():
            queryset = queryset.filter(matches(word))
        return queryset, False

    @admin.display(description="price", ordering="price")
    def price_shown(self, product: Product) -> str:
        return format_amount(product.price, product.currency)

    @admin.display(ordering=FREE_UNITS)
    def available(self, product: Product) -> int:
        return _stock_of(product).available

    @admin.display(ordering="stock__reserved")
    def reserved(self, product: Product) -> int:
        return _stock_of(product).reserved

    @admin.display(ordering="stock__sold")
    def sold(self, product: Product) -> int:
        return _stock_of(product).sold

    @admin.display(description="units")
    def adjust(self, product: Product) -> str:
        if product.pk is None:
            return "no stock yet"
        return format_html(
            '<a href="{}">Adjust stock</a>', reverse("admin:inventory_adjust", args=[product.pk])
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Refuse: old orders refer to products."""
        return False

    def save_model(self, request: HttpRequest, obj: Product, form: Any, change: bool) -> None:  # noqa: FBT001
        super().save_model(request, obj, form, change)
        StockItem.objects.open_stock(product_ids=[obj.pk])
        forget_listings()

    def get_urls(self) -> list[URLPattern]:
        adjust = path(
            "<path:object_id>/adjust/", self.admin_site.admin_view(self.adjust_view), name="inventory_adjust"
        )
        return [adjust, *super().get_urls()]

    def adjust_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        product = self.get_object(request, unquote(object_id))
        if product is None:
            raise Http404
        if not request.user.has_perm("inventory.change_stockitem"):
            raise PermissionDenied
        form = AdjustmentForm(request.POST or None)
        if form.is_valid() and self._adjust(request, product, form):
            return HttpResponseRedirect(reverse("admin:inventory_product_change", args=[product.pk]))
        context = self.admin_site.each_context(request) | {
            "title": f"Adjust stock of {product}",
            "opts": self.model._meta,
            "product": product,
            "stock": _stock_of(product),
            "changes": overwritten.of_product(product.pk),
            "form": form,
        }
        return TemplateResponse(request, "admin/inventory/adjust.html", context)

    def _adjust(self, request: HttpRequest, product: Product, form: AdjustmentForm) -> bool:
        try:
            with transaction.atomic():
                StockItem.objects.open_stock(product_ids=[product.pk])
                change = StockItem.objects.adjust(
                    product_id=product.pk,
                    by=form.cleaned_data["by"],
                    reason=form.cleaned_data["reason"],
                    made_by=request.user.get_username(),
                    source=StockChange.Source.STAFF,
                )
                self.log_change(request, product, f"Stock adjusted by {change.applied:+d}: {change.reason}")
        except stock.NotEnoughFree as refusal:
            form.add_error(
                "by", f"Only {refusal.available:,} units are available; the rest is reserved by orders."
            )
            return False
        self.message_user(request, f"{product}: {change.on_hand_after} units on hand now.", messages.SUCCESS)
        return True


@admin.register(StockChange)
class StockChangeAdmin(admin.ModelAdmin):
    list_display = ["made_at", "product", "source", "wanted", "applied", "on_hand_after", "reason", "made_by"]
    list_filter = ["source", "made_at"]
    list_select_related = ["product"]
    search_fields = ["product__sku", "product__name", "reason", "made_by"]
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Refuse: an adjustment writes it."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False


def _stock_of(product: Product) -> StockItem:
    try:
        return product.stock
    except StockItem.DoesNotExist:
        return StockItem(product=product)
