"""addressbook."""
