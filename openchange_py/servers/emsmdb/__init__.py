"""emsmdb."""
