"""The `webhooks` commands: subscriptions, a listener, a sender."""
