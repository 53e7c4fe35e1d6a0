"""[MS-OXCDATA]: the data structures that the mailbox and address book protocols share."""
