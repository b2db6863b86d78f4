"""How two datasets differ, record by record."""
