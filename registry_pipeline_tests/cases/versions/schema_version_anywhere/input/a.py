print(1); schema_version: str = "v3-b.1"
