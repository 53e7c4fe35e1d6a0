"""What module `cache` keeps: streams as files, an index of them, and who is filling which."""
