"""Address book templates: what details dialogs show, how they are laid out, and in which languages."""
