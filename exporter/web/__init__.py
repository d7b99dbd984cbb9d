"""The two HTTP listeners: the public one takes webhooks, the admin one shows what is known."""
