"""Figures for people: statistics, analytics, export."""
