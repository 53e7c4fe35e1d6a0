"""Where a user's client finds what this installation offers it: [MS-OXDSCLI], [MS-OXWSADISC], [MS-ASCMD] 2.2.1.1.

`settings.py` decides what a user is told, `pox.py`, `soap.py` and `json_v2.py` say it in the words of each protocol,
`server.py` chooses among them.
"""
