"""Notifications: e-mails to customers, webhooks to other systems."""
