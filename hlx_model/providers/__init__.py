"""Language models of others: keys, prices, a ledger of what is spent, and one call to all of them.

    client = ProviderClient(ProviderFiles.of_home(home))
    client.ask(Question("supervision", Choice("claude", "claude-haiku-4-5"), system, user, schema, max_tokens=500))

Nothing here is used until a key is stored or a local model is chosen. What is trained, and what a gate decides, never
depends on it.
"""
