"""The ROPs of [MS-OXCROPS], one file per document that defines them. Importing a file registers its ROPs: `base`."""
