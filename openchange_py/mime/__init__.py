"""Internet mail into MAPI objects: [MS-OXCMAIL]. The other direction is not done yet."""
