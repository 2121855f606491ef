"""URLs of the board's pages and API."""

from django.urls import path

from board import inbox, pages, track, views

app_name = "board"
urlpatterns = [
    path("", pages.board, name="board"),
    path("board/orders/<str:reference>", pages.order_panel, name="panel"),
    path("track/theme.css", track.theme, name="theme"),
    path("track/<uuid:uuid>", track.by_account, name="track"),
    path("track/<str:token>", track.track, name="track-link"),
    path("track/<str:token>/cancel", track.cancel, name="track-cancel"),
    path("sales", pages.sold, name="sales"),
    path("inbox", inbox.inbox, name="inbox"),
    path("inbox/<slug:mail_id>", inbox.letter, name="letter"),
    path("api/board", views.Board.as_view(), name="snapshot"),
    path("api/board/cards", views.CardsByIds.as_view(), name="cards"),
    path("api/board/search", views.Search.as_view(), name="search"),
    path("api/board/series", views.Series.as_view(), name="series"),
    path("api/board/orders", views.PlaceDemoOrders.as_view(), name="place"),
    path("api/board/trouble", views.BreakPayments.as_view(), name="trouble"),
]
