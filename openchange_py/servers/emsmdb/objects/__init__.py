"""Server objects: what a handle stands for. [MS-OXCROPS] 1.3.1."""
